/*
 * MD5 (RFC 1321), SHA-1 and SHA-2 (FIPS 180-4).
 *
 * A hash under way is an ArrayBuffer that holds a `Hash`: copying the buffer copies the state (`hash.copy()`), and
 * nothing has to be finalised.
 */
#include "shim.h"

#include <string.h>

enum { MD5, SHA1, SHA224, SHA256, SHA384, SHA512, ALGORITHMS };

typedef struct {
    uint64_t total;
    union {
        uint32_t w[8];
        uint64_t d[8];
    } state;
    uint8_t block[128];
    uint8_t algorithm;
} Hash;

static const uint8_t DIGEST_BYTES[ALGORITHMS] = {16, 20, 28, 32, 48, 64};

static const uint32_t START32[4][8] = {
    [MD5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476},
    [SHA1] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0},
    [SHA224] = {0xc1059ed8, 0x367cd507, 0x3070dd17, 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4},
    [SHA256] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
};
static const uint64_t START64[2][8] = {
    {0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939, 0x67332667ffc00b31,
     0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4},
    {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1,
     0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179},
};

/* The first 64 bits of the fractions of the cube roots of the first eighty primes; SHA-256 uses the upper halves of 64. */
static const uint64_t K[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

/* The integer parts of 2^32 × |sin i|, i = 1 … 64. */
static const uint32_t SINES[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const uint8_t TURNS[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static inline uint32_t rotl(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static inline uint32_t rotr(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static inline uint64_t rotr64(uint64_t x, int n)
{
    return x >> n | x << (64 - n);
}

static void md5_block(uint32_t *s, const uint8_t *p)
{
    uint32_t m[16], a = s[0], b = s[1], c = s[2], d = s[3];
    memcpy(m, p, 64);
    for (int i = 0; i < 64; i++) {
        uint32_t f;
        int g;
        if (i < 16)
            f = (b & c) | (~b & d), g = i;
        else if (i < 32)
            f = (d & b) | (~d & c), g = (5 * i + 1) & 15;
        else if (i < 48)
            f = b ^ c ^ d, g = (3 * i + 5) & 15;
        else
            f = c ^ (b | ~d), g = 7 * i & 15;
        f += a + SINES[i] + m[g];
        a = d, d = c, c = b;
        b += rotl(f, TURNS[i >> 4][i & 3]);
    }
    s[0] += a, s[1] += b, s[2] += c, s[3] += d;
}

static void sha1_block(uint32_t *s, const uint8_t *p)
{
    uint32_t w[80], a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];
    for (int i = 0; i < 16; i++) {
        memcpy(&w[i], p + 4 * i, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
    for (int i = 16; i < 80; i++)
        w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20)
            f = (b & c) | (~b & d), k = 0x5a827999;
        else if (i < 40)
            f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (i < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else
            f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t t = rotl(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotl(b, 30), b = a, a = t;
    }
    s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e;
}

static void sha256_block(uint32_t *s, const uint8_t *p)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++) {
        memcpy(&w[i], p + 4 * i, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[i - 7] + (rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
    }
    memcpy(v, s, 32);
    for (int i = 0; i < 64; i++) {
        uint32_t t = v[7] + (rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) +
                     (uint32_t)(K[i] >> 32) + w[i];
        uint32_t u = (rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 28);
        v[4] += t;
        v[0] = t + u;
    }
    for (int i = 0; i < 8; i++)
        s[i] += v[i];
}

static void sha512_block(uint64_t *s, const uint8_t *p)
{
    uint64_t w[80], v[8];
    for (int i = 0; i < 16; i++) {
        memcpy(&w[i], p + 8 * i, 8);
        w[i] = __builtin_bswap64(w[i]);
    }
    for (int i = 16; i < 80; i++) {
        uint64_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotr64(a, 1) ^ rotr64(a, 8) ^ a >> 7) + w[i - 7] +
               (rotr64(b, 19) ^ rotr64(b, 61) ^ b >> 6);
    }
    memcpy(v, s, 64);
    for (int i = 0; i < 80; i++) {
        uint64_t t = v[7] + (rotr64(v[4], 14) ^ rotr64(v[4], 18) ^ rotr64(v[4], 41)) +
                     ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
        uint64_t u = (rotr64(v[0], 28) ^ rotr64(v[0], 34) ^ rotr64(v[0], 39)) +
                     ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 56);
        v[4] += t;
        v[0] = t + u;
    }
    for (int i = 0; i < 8; i++)
        s[i] += v[i];
}

static size_t block_bytes(const Hash *h)
{
    return h->algorithm >= SHA384 ? 128 : 64;
}

static void absorb_block(Hash *h, const uint8_t *block)
{
    switch (h->algorithm) {
    case MD5: md5_block(h->state.w, block); break;
    case SHA1: sha1_block(h->state.w, block); break;
    case SHA224: case SHA256: sha256_block(h->state.w, block); break;
    default: sha512_block(h->state.d, block);
    }
}

static void absorb(Hash *h, const uint8_t *bytes, size_t length)
{
    size_t size = block_bytes(h), held = h->total % size;
    h->total += length;
    if (held) {
        size_t part = size - held < length ? size - held : length;
        memcpy(h->block + held, bytes, part);
        bytes += part, length -= part;
        if (held + part < size)
            return;
        absorb_block(h, h->block);
    }
    for (; length >= size; bytes += size, length -= size)
        absorb_block(h, bytes);
    memcpy(h->block, bytes, length);
}

static void finish(Hash *h, uint8_t *digest)
{
    size_t size = block_bytes(h), tail = size == 128 ? 16 : 8;
    uint64_t bits = h->total * 8;
    static const uint8_t PADDING[128] = {0x80};
    size_t held = h->total % size;
    absorb(h, PADDING, held < size - tail ? size - tail - held : 2 * size - tail - held);
    uint8_t length[16] = {0};
    uint64_t written = h->algorithm == MD5 ? bits : __builtin_bswap64(bits);
    memcpy(length + (tail - 8), &written, 8);
    absorb(h, length, tail);
    for (int i = 0; i < 8; i++)
        if (h->algorithm >= SHA384)
            h->state.d[i] = __builtin_bswap64(h->state.d[i]);
        else if (h->algorithm != MD5)
            h->state.w[i] = __builtin_bswap32(h->state.w[i]);
    memcpy(digest, &h->state, DIGEST_BYTES[h->algorithm]);
}

/* ── what JavaScript sees ────────────────────────────────────────────────────────────────────────────────────── */

static Hash *state(JSValueConst value)
{
    size_t length;
    Hash *h = (Hash *)view(value, &length);
    if (h && (length != sizeof *h || h->algorithm >= ALGORITHMS)) {
        JS_ThrowTypeError(context, "not the state of a hash");
        return NULL;
    }
    return h;
}

/* The number of an algorithm by its name in OpenSSL's spelling, lower case, without dash. */
static int algorithm(const char *name)
{
    static const char *const NAMES[ALGORITHMS] = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"};
    for (int i = 0; i < ALGORITHMS; i++)
        if (!strcmp(name, NAMES[i]))
            return i;
    return -1;
}

static JSValue hash_new(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    const char *name = JS_ToCString(ctx, argv[0]);
    if (!name)
        return JS_EXCEPTION;
    int chosen = algorithm(name);
    JS_FreeCString(ctx, name);
    if (chosen < 0)
        return JS_UNDEFINED;
    Hash h = {.algorithm = (uint8_t)chosen};
    if (chosen >= SHA384)
        memcpy(h.state.d, START64[chosen - SHA384], 64);
    else
        memcpy(h.state.w, START32[chosen], 32);
    return JS_NewUint8ArrayCopy(ctx, (const uint8_t *)&h, sizeof h);
}

static JSValue hash_update(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Hash *h = state(argv[0]);
    if (!h)
        return JS_EXCEPTION;
    VIEW(bytes, argv[1])
    absorb(h, bytes, bytes_length);
    return JS_UNDEFINED;
}

/* The digest; the state is spent. */
static JSValue hash_digest(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Hash *h = state(argv[0]);
    if (!h)
        return JS_EXCEPTION;
    uint8_t digest[64];
    finish(h, digest);
    return JS_NewUint8ArrayCopy(ctx, digest, DIGEST_BYTES[h->algorithm]);
}

static JSValue hash_block_bytes(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Hash *h = state(argv[0]);
    return h ? JS_NewInt32(ctx, (int)block_bytes(h)) : JS_EXCEPTION;
}

/* Whether two views of the same length are equal, in a time that depends on the length alone. */
static JSValue equal_in_constant_time(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(a, argv[0])
    VIEW(b, argv[1])
    volatile uint8_t different = a_length != b_length;
    for (size_t i = 0; i < a_length && i < b_length; i++)
        different |= a[i] ^ b[i];
    return JS_NewBool(ctx, !different);
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("hashNew", 1, hash_new),
    JS_CFUNC_DEF("hashUpdate", 2, hash_update),
    JS_CFUNC_DEF("hashDigest", 1, hash_digest),
    JS_CFUNC_DEF("hashBlockBytes", 1, hash_block_bytes),
    JS_CFUNC_DEF("equalInConstantTime", 2, equal_in_constant_time),
};

void hash_install(JSValueConst native)
{
    JS_SetPropertyFunctionList(context, native, FUNCTIONS, COUNT(FUNCTIONS));
}
