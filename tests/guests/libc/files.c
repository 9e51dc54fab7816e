/* What a C program does with its libc: files, directories, streams, time, environment, randomness. It prints what it saw;
   the test compares. Not linked with any SDK: only wasi-libc between it and the host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT(name) __attribute__((export_name(name)))

static unsigned char buffer[65536];
static const unsigned char outcome[] = {0x81, 0xa2, 'o', 'k', 0xc0};
/* Printed before the snapshot: the stream must be whole after it. */
static int initialised;

EXPORT("isolet_buffer") void *isolet_buffer(uint32_t length) { return length <= sizeof buffer ? buffer : 0; }

EXPORT("isolet_init") void isolet_init(void) {
    printf("initialising %s\n", getenv("AWS_LAMBDA_FUNCTION_NAME"));
    initialised = 1;
}

static void fails(const char *what, int result) { printf("%s: %s\n", what, result < 0 ? strerror(errno) : "done"); }

static void list(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) {
        fails(path, -1);
        return;
    }
    int count = 0, files = 0, last = -1, sorted = 1;
    for (struct dirent *entry; (entry = readdir(directory));) {
        int number;
        count++;
        if (entry->d_type == DT_REG && sscanf(entry->d_name, "file-with-a-longish-name-%d", &number) == 1) {
            sorted &= number == ++last;
            files++;
        }
    }
    rewinddir(directory);
    printf("%s: %d entries, %d numbered, in order %d, again from \"%s\"\n", path, count, files, sorted, readdir(directory)->d_name);
    closedir(directory);
}

static void files(void) {
    char line[100];
    FILE *packaged = fopen("/var/task/data/greeting.txt", "r");
    printf("package: %s", packaged && fgets(line, sizeof line, packaged) ? line : "nothing\n");
    if (packaged) fclose(packaged);
    fails("write to the package", open("/var/task/data/greeting.txt", O_RDWR));
    fails("create in the package", open("/var/task/new", O_WRONLY | O_CREAT, 0600));
    fails("outside", open("/etc/passwd", O_RDONLY));
    fails("escape", open("/tmp/../var/task/../../etc/passwd", O_RDONLY));

    FILE *file = fopen("/tmp/notes.txt", "w+");
    for (int i = 0; i < 1000; i++) fprintf(file, "note %d\n", i);
    fseek(file, 0, SEEK_END);
    printf("size %ld", ftell(file));
    rewind(file);
    long sum = 0, number;
    while (fscanf(file, "note %ld\n", &number) == 1) sum += number;
    printf(", sum %ld\n", sum);
    fclose(file);

    file = fopen("/tmp/notes.txt", "a");
    fputs("appended\n", file);
    fclose(file);
    struct stat status;
    fails("truncate", truncate("/tmp/notes.txt", 7));
    fails("stat", stat("/tmp/notes.txt", &status));
    printf("now %lld bytes, a file %d, recent %d\n", (long long)status.st_size, S_ISREG(status.st_mode), time(0) - status.st_mtime < 100);

    fails("mkdir", mkdir("/tmp/d", 0700));
    fails("mkdir again", mkdir("/tmp/d", 0700));
    fails("rename", rename("/tmp/notes.txt", "/tmp/d/moved.txt"));
    fails("rename between volumes", rename("/tmp/d/moved.txt", "/var/task/moved.txt"));
    fails("rmdir full", rmdir("/tmp/d"));
    fails("access", access("/tmp/d/moved.txt", R_OK | W_OK));
    fails("symlink", symlink("/tmp/d", "/tmp/link"));
    fails("remove", remove("/tmp/d/moved.txt"));
    fails("remove the directory", remove("/tmp/d"));
    for (int i = 0; i < 300; i++) {
        snprintf(line, sizeof line, "/tmp/file-with-a-longish-name-%d", i);
        int fd = open(line, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || write(fd, line, 10) != 10 || close(fd)) fails(line, -1);
    }
    list("/tmp");
    list("/var/task/data");
    list("/none");
    int sparse = open("/tmp/sparse", O_RDWR | O_CREAT, 0600);
    char byte = 7;
    pwrite(sparse, "!", 1, 10000000);
    printf("sparse: %d at 5000000, end %lld\n", (int)pread(sparse, &byte, 1, 5000000) + byte, (long long)lseek(sparse, 0, SEEK_END));
    fails("too large", ftruncate(sparse, 1LL << 40));
    close(sparse);
}

static void times(void) {
    struct timespec began, ended, pause = {0, 20000000};
    clock_gettime(CLOCK_MONOTONIC, &began);
    fails("nanosleep", nanosleep(&pause, 0));
    clock_gettime(CLOCK_MONOTONIC, &ended);
    long passed = (ended.tv_sec - began.tv_sec) * 1000000000L + ended.tv_nsec - began.tv_nsec;
    printf("slept long enough %d\n", passed >= 20000000);
    time_t now = time(0);
    printf("this century %d, year with TZ %s fine %d\n", now > 1600000000, getenv("TZ"), localtime(&now)->tm_year >= 120);
}

EXPORT("isolet_handle") uint64_t isolet_handle(uint32_t ptr, uint32_t length) {
    (void)ptr;
    (void)length;
    printf("initialised %d, colour %s\n", initialised, getenv("COLOUR"));
    files();
    times();
    unsigned char one[16], two[16];
    getentropy(one, sizeof one);
    getentropy(two, sizeof two);
    printf("random %d, terminal %d, stdin ends %d\n", memcmp(one, two, 16) != 0, isatty(1), getchar() == EOF);
    fprintf(stderr, "to stderr\n");
    printf("no newline at the end");
    fflush(stdout);
    return (uint64_t)(uintptr_t)outcome << 32 | sizeof outcome;
}
