/* What WASI's libc refuses and Python programs do all the time: permissions. /tmp has none, and is one invocation's own;
 * so setting them succeeds where the file is there, and changes nothing. CPython is compiled with these names for libc's. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int isolet_fchmodat(int directory, const char *path, mode_t mode, int flags) {
    (void)mode;
    (void)flags;
    return faccessat(directory, path, F_OK, 0);
}

int isolet_chmod(const char *path, mode_t mode) {
    (void)mode;
    return access(path, F_OK);
}

int isolet_fchmod(int file, mode_t mode) {
    struct stat ignored;
    (void)mode;
    return fstat(file, &ignored);
}
