/*
 * /var/task and /tmp, as the functions behind `fs`.
 *
 * A function answers what it was asked for, or the name of an error as a string ("ENOENT"): library/fs.js makes Node's
 * errors of it, which name the call and the path.
 */
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static JSValue problem(JSContext *ctx)
{
    static const struct {
        int number;
        const char *name;
    } NAMES[] = {
        {ENOENT, "ENOENT"}, {EACCES, "EACCES"}, {EEXIST, "EEXIST"}, {EISDIR, "EISDIR"}, {ENOTDIR, "ENOTDIR"},
        {ENOTEMPTY, "ENOTEMPTY"}, {EROFS, "EROFS"}, {ENOSPC, "ENOSPC"}, {EMFILE, "EMFILE"}, {EPERM, "EPERM"},
        {EINVAL, "EINVAL"}, {ENAMETOOLONG, "ENAMETOOLONG"}, {EXDEV, "EXDEV"}, {EBADF, "EBADF"}, {ENOTSUP, "ENOTSUP"},
        {ENOSYS, "ENOSYS"}, {ELOOP, "ELOOP"}, {ENOTCAPABLE, "EPERM"},
    };
    for (int i = 0; i < COUNT(NAMES); i++)
        if (NAMES[i].number == errno)
            return JS_NewString(ctx, NAMES[i].name);
    return JS_NewString(ctx, "EIO");
}

#define PATH(name, value) \
    const char *name = JS_ToCString(ctx, value); \
    if (!name) \
        return JS_EXCEPTION;

static JSValue read_all(JSContext *ctx, int fd, size_t size)
{
    Bytes bytes = {0};
    for (;;) {
        if (!bytes_reserve(&bytes, size + 1)) {
            free(bytes.bytes);
            return JS_ThrowOutOfMemory(ctx);
        }
        ssize_t n = read(fd, bytes.bytes + bytes.length, bytes.capacity - bytes.length);
        if (n < 0) {
            JSValue name = problem(ctx);
            free(bytes.bytes);
            return name;
        }
        if (n == 0)
            break;
        bytes.length += (size_t)n;
        size = size > (size_t)n ? size - (size_t)n : 0;
    }
    JSValue array = JS_NewUint8ArrayCopy(ctx, bytes.bytes, bytes.length);
    free(bytes.bytes);
    return array;
}

static JSValue read_file(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    PATH(path, argv[0])
    struct stat status;
    int fd = open(path, O_RDONLY);
    JS_FreeCString(ctx, path);
    if (fd < 0)
        return problem(ctx);
    JSValue made;
    if (fstat(fd, &status) < 0)
        made = problem(ctx);
    else if (S_ISDIR(status.st_mode))
        made = JS_NewString(ctx, "EISDIR");
    else
        made = read_all(ctx, fd, (size_t)status.st_size);
    close(fd);
    return made;
}

/* writeFile(path, bytes, how): "w" anew, "a" at the end, "wx" only if it is not there. */
static JSValue write_file(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    VIEW(bytes, argv[1])
    PATH(path, argv[0])
    const char *how = JS_ToCString(ctx, argv[2]);
    int flags = O_WRONLY | O_CREAT | (how && how[0] == 'a' ? O_APPEND : O_TRUNC);
    if (how && how[0] && how[1] == 'x')
        flags |= O_EXCL;
    int fd = open(path, flags, 0666);
    JS_FreeCString(ctx, path);
    JS_FreeCString(ctx, how);
    if (fd < 0)
        return problem(ctx);
    JSValue made = JS_UNDEFINED;
    for (size_t done = 0; done < bytes_length;) {
        ssize_t n = write(fd, bytes + done, bytes_length - done);
        if (n <= 0) {
            made = problem(ctx);
            break;
        }
        done += (size_t)n;
    }
    close(fd);
    return made;
}

static double milliseconds(struct timespec t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* [type, size, modified, accessed, changed, inode, links]; the type is 1 for a file, 2 for a directory. */
static JSValue status(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    PATH(path, argv[0])
    struct stat s;
    int failed = stat(path, &s);
    JS_FreeCString(ctx, path);
    if (failed)
        return problem(ctx);
    double values[] = {
        S_ISDIR(s.st_mode) ? 2 : 1, (double)s.st_size,      milliseconds(s.st_mtim), milliseconds(s.st_atim),
        milliseconds(s.st_ctim),    (double)s.st_ino,       (double)s.st_nlink,
    };
    JSValue array = JS_NewArray(ctx);
    for (int i = 0; i < COUNT(values); i++)
        JS_DefinePropertyValueUint32(ctx, array, i, JS_NewFloat64(ctx, values[i]), JS_PROP_C_W_E);
    return array;
}

/* Names and types, one after the other. */
static JSValue list(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    PATH(path, argv[0])
    DIR *directory = opendir(path);
    JS_FreeCString(ctx, path);
    if (!directory)
        return problem(ctx);
    JSValue array = JS_NewArray(ctx);
    uint32_t n = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        JS_DefinePropertyValueUint32(ctx, array, n++, JS_NewString(ctx, entry->d_name), JS_PROP_C_W_E);
        JS_DefinePropertyValueUint32(ctx, array, n++, JS_NewInt32(ctx, entry->d_type == DT_DIR ? 2 : 1), JS_PROP_C_W_E);
    }
    closedir(directory);
    return array;
}

#define ON_PATH(function, call) \
    static JSValue function(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) \
    { \
        PATH(path, argv[0]) \
        int failed = call; \
        JS_FreeCString(ctx, path); \
        return failed ? problem(ctx) : JS_UNDEFINED; \
    }

ON_PATH(make_directory, mkdir(path, 0777))
ON_PATH(remove_directory, rmdir(path))
ON_PATH(remove_file, unlink(path))

static JSValue move(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    PATH(from, argv[0])
    const char *to = JS_ToCString(ctx, argv[1]);
    int failed = !to || rename(from, to);
    JSValue made = failed ? problem(ctx) : JS_UNDEFINED;
    JS_FreeCString(ctx, from);
    JS_FreeCString(ctx, to);
    return made;
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("readFile", 1, read_file),
    JS_CFUNC_DEF("writeFile", 3, write_file),
    JS_CFUNC_DEF("stat", 1, status),
    JS_CFUNC_DEF("list", 1, list),
    JS_CFUNC_DEF("mkdir", 1, make_directory),
    JS_CFUNC_DEF("rmdir", 1, remove_directory),
    JS_CFUNC_DEF("unlink", 1, remove_file),
    JS_CFUNC_DEF("rename", 2, move),
};

void files_install(JSValueConst native)
{
    JS_SetPropertyFunctionList(context, native, FUNCTIONS, COUNT(FUNCTIONS));
}
