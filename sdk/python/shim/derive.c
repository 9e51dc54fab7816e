/* Key derivation, which Python's own library leaves to OpenSSL: PBKDF2 (RFC 8018) over HMAC of SHA-1 and SHA-2 (FIPS 180-4),
 * and scrypt (RFC 7914). A password costs hundreds of thousands of rounds, so the inner and outer states of HMAC are kept
 * and each round is two compressions. */
#include "shim.h"

enum { BLOCK_MAX = 128, DIGEST_MAX = 64 };

typedef union {
    uint32_t w32[8];
    uint64_t w64[8];
} State;

typedef struct {
    const char *name;
    int block, digest, word; /* bytes */
    State start;
    void (*compress)(State *, const uint8_t *);
} Hash;

static uint32_t rol(uint32_t x, int n) { return x << n | x >> (32 - n); }
static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }
static uint64_t ror64(uint64_t x, int n) { return x >> n | x << (64 - n); }

static uint32_t load32(const uint8_t *p) { return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static uint64_t load64(const uint8_t *p) { return (uint64_t)load32(p) << 32 | load32(p + 4); }

static void sha1(State *state, const uint8_t *block) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++) w[i] = load32(block + 4 * i);
    for (int i = 16; i < 80; i++) w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t *h = state->w32, a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
        else if (i < 40) f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t t = rol(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rol(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* The first 64 bits of the fractional parts of the cube roots of the first 80 primes; SHA-256 takes the upper halves. */
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

static void sha256(State *state, const uint8_t *block) {
    uint32_t w[64], *h = state->w32;
    for (int i = 0; i < 16; i++) w[i] = load32(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], l = h[7];
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = l + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) + (uint32_t)(K[i] >> 32) + w[i];
        uint32_t t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        l = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += l;
}

static void sha512(State *state, const uint8_t *block) {
    uint64_t w[80], *h = state->w64;
    for (int i = 0; i < 16; i++) w[i] = load64(block + 8 * i);
    for (int i = 16; i < 80; i++) {
        uint64_t s0 = ror64(w[i - 15], 1) ^ ror64(w[i - 15], 8) ^ w[i - 15] >> 7;
        uint64_t s1 = ror64(w[i - 2], 19) ^ ror64(w[i - 2], 61) ^ w[i - 2] >> 6;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint64_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], l = h[7];
    for (int i = 0; i < 80; i++) {
        uint64_t t1 = l + (ror64(e, 14) ^ ror64(e, 18) ^ ror64(e, 41)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
        uint64_t t2 = (ror64(a, 28) ^ ror64(a, 34) ^ ror64(a, 39)) + ((a & b) ^ (a & c) ^ (b & c));
        l = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += l;
}

static const Hash hashes[] = {
    {"sha1", 64, 20, 4, {.w32 = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}}, sha1},
    {"sha224", 64, 28, 4,
     {.w32 = {0xc1059ed8, 0x367cd507, 0x3070dd17, 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4}}, sha256},
    {"sha256", 64, 32, 4,
     {.w32 = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}}, sha256},
    {"sha384", 128, 48, 8,
     {.w64 = {0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939, 0x67332667ffc00b31,
              0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4}}, sha512},
    {"sha512", 128, 64, 8,
     {.w64 = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1,
              0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179}}, sha512},
};

static const Hash *find_hash(const char *name) {
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        if (strcmp(hashes[i].name, name) == 0) return &hashes[i];
    }
    return NULL;
}

static void store(const Hash *hash, const State *state, uint8_t *out) {
    for (int i = 0; i < hash->digest; i++) {
        out[i] = hash->word == 4 ? (uint8_t)(state->w32[i / 4] >> (24 - 8 * (i % 4)))
                                 : (uint8_t)(state->w64[i / 8] >> (56 - 8 * (i % 8)));
    }
}

/* Goes on from `state`, which has seen `before` bytes, whole blocks, with the rest of a message; its digest. */
static void finish(const Hash *hash, State state, uint64_t before, const uint8_t *data, size_t len, uint8_t *out) {
    uint8_t last[2 * BLOCK_MAX] = {0};
    uint64_t bits = (before + len) * 8;
    for (; len >= (size_t)hash->block; data += hash->block, len -= (size_t)hash->block) hash->compress(&state, data);
    if (len) memcpy(last, data, len);
    last[len] = 0x80;
    int blocks = (int)len + 1 + 2 * hash->word > hash->block ? 2 : 1;
    for (int i = 0; i < 8; i++) last[blocks * hash->block - 1 - i] = (uint8_t)(bits >> 8 * i);
    for (int i = 0; i < blocks; i++) hash->compress(&state, last + i * hash->block);
    store(hash, &state, out);
}

typedef struct {
    const Hash *hash;
    State inner, outer;
} Hmac;

static void hmac_key(Hmac *mac, const Hash *hash, const uint8_t *key, size_t len) {
    uint8_t block[BLOCK_MAX] = {0}, digest[DIGEST_MAX];
    if (len > (size_t)hash->block) {
        finish(hash, hash->start, 0, key, len, digest);
        key = digest;
        len = (size_t)hash->digest;
    }
    if (len) memcpy(block, key, len);
    mac->hash = hash;
    mac->inner = mac->outer = hash->start;
    for (int i = 0; i < hash->block; i++) block[i] ^= 0x36;
    hash->compress(&mac->inner, block);
    for (int i = 0; i < hash->block; i++) block[i] ^= 0x36 ^ 0x5c;
    hash->compress(&mac->outer, block);
}

static void hmac(const Hmac *mac, const uint8_t *data, size_t len, uint8_t *out) {
    uint8_t inside[DIGEST_MAX];
    uint64_t block = (uint64_t)mac->hash->block;
    finish(mac->hash, mac->inner, block, data, len, inside);
    finish(mac->hash, mac->outer, block, inside, (size_t)mac->hash->digest, out);
}

/* salt has four bytes of room behind it. */
static void pbkdf2(const Hmac *mac, uint8_t *salt, size_t salt_len, uint64_t rounds, uint8_t *out, size_t len) {
    size_t digest = (size_t)mac->hash->digest;
    for (uint32_t block = 1; len; block++) {
        uint8_t u[DIGEST_MAX], sum[DIGEST_MAX];
        for (int i = 0; i < 4; i++) salt[salt_len + (size_t)i] = (uint8_t)(block >> (24 - 8 * i));
        hmac(mac, salt, salt_len + 4, u);
        memcpy(sum, u, digest);
        for (uint64_t round = 1; round < rounds; round++) {
            hmac(mac, u, digest, u);
            for (size_t i = 0; i < digest; i++) sum[i] ^= u[i];
        }
        size_t part = len < digest ? len : digest;
        memcpy(out, sum, part);
        out += part;
        len -= part;
    }
}

/* The salt with room for a block's number; NULL with an exception. */
static uint8_t *roomy(const Py_buffer *salt) {
    uint8_t *copy = PyMem_RawMalloc((size_t)salt->len + 4);
    if (copy == NULL) PyErr_NoMemory();
    else if (salt->len) memcpy(copy, salt->buf, (size_t)salt->len);
    return copy;
}

/* pbkdf2(hash name, password, salt, rounds, length) → bytes; None for a hash that is not one of ours. */
static PyObject *pbkdf2_(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *name;
    Py_buffer password, salt;
    unsigned long long rounds;
    Py_ssize_t len;
    if (!PyArg_ParseTuple(args, "sy*y*Kn", &name, &password, &salt, &rounds, &len)) return NULL;
    const Hash *hash = find_hash(name);
    PyObject *out = hash ? PyBytes_FromStringAndSize(NULL, len) : Py_NewRef(Py_None);
    uint8_t *copy = hash && out ? roomy(&salt) : NULL;
    if (copy != NULL) {
        Hmac mac;
        hmac_key(&mac, hash, password.buf, (size_t)password.len);
        pbkdf2(&mac, copy, (size_t)salt.len, rounds, (uint8_t *)PyBytes_AS_STRING(out), (size_t)len);
        PyMem_RawFree(copy);
    } else if (hash) {
        Py_CLEAR(out);
    }
    PyBuffer_Release(&password);
    PyBuffer_Release(&salt);
    return out;
}

/* ── scrypt ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static void salsa20_8(uint32_t b[16]) {
    uint32_t x[16];
    memcpy(x, b, sizeof x);
    static const uint8_t quarters[8][4] = {
        {0, 4, 8, 12}, {5, 9, 13, 1}, {10, 14, 2, 6}, {15, 3, 7, 11},
        {0, 1, 2, 3},  {5, 6, 7, 4},  {10, 11, 8, 9}, {15, 12, 13, 14},
    };
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 8; i++) {
            uint32_t *a = &x[quarters[i][0]], *c = &x[quarters[i][1]], *d = &x[quarters[i][2]], *e = &x[quarters[i][3]];
            *c ^= rol(*a + *e, 7);
            *d ^= rol(*c + *a, 9);
            *e ^= rol(*d + *c, 13);
            *a ^= rol(*e + *d, 18);
        }
    }
    for (int i = 0; i < 16; i++) b[i] += x[i];
}

/* `to` becomes the mix of `from`, both of 32 * r words. */
static void block_mix(const uint32_t *from, uint32_t *to, size_t r) {
    uint32_t x[16];
    memcpy(x, from + (2 * r - 1) * 16, sizeof x);
    for (size_t i = 0; i < 2 * r; i++) {
        for (int j = 0; j < 16; j++) x[j] ^= from[i * 16 + (size_t)j];
        salsa20_8(x);
        memcpy(to + (i / 2 + (i & 1 ? r : 0)) * 16, x, sizeof x);
    }
}

/* One lane of 128 * r bytes. `v` has n lanes' room, `y` one. wasm is little-endian, as scrypt's words are. */
static void ro_mix(uint32_t *x, uint32_t *y, uint32_t *v, uint64_t n, size_t r) {
    size_t words = 32 * r;
    for (uint64_t i = 0; i < n; i++) {
        memcpy(v + i * words, x, words * 4);
        block_mix(x, y, r);
        memcpy(x, y, words * 4);
    }
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t *chosen = v + (x[words - 16] & (n - 1)) * words;
        for (size_t j = 0; j < words; j++) x[j] ^= chosen[j];
        block_mix(x, y, r);
        memcpy(x, y, words * 4);
    }
}

/* scrypt(password, salt, n, r, p, length) → bytes. The caller has checked the numbers. */
static PyObject *scrypt_(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer password, salt;
    unsigned long long n;
    Py_ssize_t r, p, len;
    if (!PyArg_ParseTuple(args, "y*y*Knnn", &password, &salt, &n, &r, &p, &len)) return NULL;
    size_t lane = 128 * (size_t)r;
    uint8_t *copy = roomy(&salt);
    uint8_t *b = PyMem_RawMalloc(lane * (size_t)p + 4), *y = PyMem_RawMalloc(lane), *v = PyMem_RawMalloc(lane * (size_t)n);
    PyObject *out = copy && b && y && v ? PyBytes_FromStringAndSize(NULL, len) : PyErr_NoMemory();
    if (out != NULL) {
        Hmac mac;
        hmac_key(&mac, find_hash("sha256"), password.buf, (size_t)password.len);
        pbkdf2(&mac, copy, (size_t)salt.len, 1, b, lane * (size_t)p);
        for (Py_ssize_t i = 0; i < p; i++) {
            ro_mix((uint32_t *)(b + lane * (size_t)i), (uint32_t *)y, (uint32_t *)v, n, (size_t)r);
        }
        pbkdf2(&mac, b, lane * (size_t)p, 1, (uint8_t *)PyBytes_AS_STRING(out), (size_t)len);
    }
    PyMem_RawFree(copy);
    PyMem_RawFree(b);
    PyMem_RawFree(y);
    PyMem_RawFree(v);
    PyBuffer_Release(&password);
    PyBuffer_Release(&salt);
    return out;
}

PyMethodDef derive_methods[] = {
    {"pbkdf2", pbkdf2_, METH_VARARGS, "pbkdf2(hash name, password, salt, rounds, length), or None: not this hash."},
    {"scrypt", scrypt_, METH_VARARGS, "scrypt(password, salt, n, r, p, length)."},
    {NULL, NULL, 0, NULL},
};
