/* The floor under a look: what stat, reading and SHA-256 of a whole tree cost in C.
 *
 *     limit lstat DIR           every name is stat'ed
 *     limit sha256 DIR [N]      and every regular file is read and hashed by OpenSSL, by N processes (1)
 *
 * Prints one line: entries, files, bytes read, and the sum of the digests' first eight bytes (modulo 2^64), which any
 * other who hashed the same files can be held against. A file with several names is read once for each. Links are not
 * followed; nothing is written; access times stay where the kernel allows it. Ends with 1 where it could not look.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, PROCESSES = 64 };

struct seen {
    uint64_t entries, files, bytes, sum;
};

/* What the processes share: which directory is next, and what each of them saw. */
struct shared {
    size_t next;
    struct seen seen[PROCESSES];
};

static int hashing;
static EVP_MD_CTX *context;
static const EVP_MD *sha256;
static unsigned char buffer[BUFFER];

static int open_quietly(int at, const char *name, int flags)
{
    flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = openat(at, name, flags | O_NOATIME);
    return fd >= 0 ? fd : openat(at, name, flags);
}

static void hash(int at, const char *name, struct seen *seen)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    uint64_t head = 0;
    ssize_t count;
    int fd = open_quietly(at, name, 0);
    if (fd < 0)
        err(1, "%s", name);
    EVP_DigestInit_ex(context, sha256, NULL);
    while ((count = read(fd, buffer, BUFFER)) > 0) {
        EVP_DigestUpdate(context, buffer, count);
        seen->bytes += count;
    }
    if (count < 0)
        err(1, "%s", name);
    EVP_DigestFinal_ex(context, digest, NULL);
    close(fd);
    for (int i = 0; i < 8; i++)
        head = head << 8 | digest[i];
    seen->files++;
    seen->sum += head;
}

/* One directory, whose descriptor is used up; with `deep` all that is below it, too. */
static void look(int fd, int deep, struct seen *seen)
{
    DIR *directory = fdopendir(fd);
    if (!directory)
        err(1, "fdopendir");
    for (struct dirent *one; (one = readdir(directory));) {
        struct stat found;
        if (!strcmp(one->d_name, ".") || !strcmp(one->d_name, ".."))
            continue;
        if (fstatat(fd, one->d_name, &found, AT_SYMLINK_NOFOLLOW))
            err(1, "%s", one->d_name);
        seen->entries++;
        if (S_ISREG(found.st_mode) && hashing)
            hash(fd, one->d_name, seen);
        if (S_ISDIR(found.st_mode) && deep) {
            int below = open_quietly(fd, one->d_name, O_DIRECTORY);
            if (below < 0)
                err(1, "%s", one->d_name);
            look(below, deep, seen);
        }
    }
    closedir(directory);
}

static char **paths;
static size_t count;

/* The paths of all directories below, by the kinds that the listing itself gives: nothing is stat'ed. */
static void gather(int top, const char *path)
{
    static size_t room;
    if (count == room) {
        room = room ? 2 * room : 1024;
        paths = realloc(paths, room * sizeof *paths);
        if (!paths)
            err(1, "realloc");
    }
    paths[count++] = strdup(path);
    DIR *directory = fdopendir(open_quietly(top, path, O_DIRECTORY));
    if (!directory)
        err(1, "%s", path);
    for (struct dirent *one; (one = readdir(directory));) {
        char *below;
        if (one->d_type != DT_DIR || !strcmp(one->d_name, ".") || !strcmp(one->d_name, ".."))
            continue;
        if (asprintf(&below, "%s/%s", path, one->d_name) < 0)
            err(1, "asprintf");
        gather(top, below);
        free(below);
    }
    closedir(directory);
}

static void share(int top, int processes, struct seen *all)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        err(1, "mmap");
    gather(top, ".");
    for (int number = 0; number < processes; number++) {
        pid_t child = number ? fork() : 0;
        if (child < 0)
            err(1, "fork");
        if (child)
            continue;
        for (size_t at; (at = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED)) < count;) {
            int fd = open_quietly(top, paths[at], O_DIRECTORY);
            if (fd < 0)
                err(1, "%s", paths[at]);
            look(fd, 0, &shared->seen[number]);
        }
        if (number)
            _exit(0);
    }
    for (int status; wait(&status) > 0;)
        if (status)
            errx(1, "a process failed");
    for (int number = 0; number < processes; number++) {
        all->entries += shared->seen[number].entries;
        all->files += shared->seen[number].files;
        all->bytes += shared->seen[number].bytes;
        all->sum += shared->seen[number].sum;
    }
}

int main(int argc, char **argv)
{
    struct seen seen = {.entries = 1}; /* DIR itself */
    int processes = argc > 3 ? atoi(argv[3]) : 1;
    if (argc < 3 || processes < 1 || processes > PROCESSES)
        errx(2, "usage: limit lstat|sha256 DIR [PROCESSES]");
    hashing = !strcmp(argv[1], "sha256");
    context = EVP_MD_CTX_new();
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    int top = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        err(1, "%s", argv[2]);
    if (processes == 1)
        look(top, 1, &seen);
    else
        share(top, processes, &seen);
    printf("%ju %ju %ju %ju\n", (uintmax_t)seen.entries, (uintmax_t)seen.files, (uintmax_t)seen.bytes,
           (uintmax_t)seen.sum);
    return 0;
}
