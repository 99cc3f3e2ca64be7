/* What a program and all that it starts cost.
 *
 *     spent FILE PROGRAM [WORD...]
 *
 * Runs it with this one's input and output, and writes one line to FILE: seconds of wall clock, seconds of CPU (its own
 * and its children's, in user and system mode together), and the peak of memory of the largest of these processes, in KiB.
 * Ends as the program ended. That is a program of its own since Linux counts what a process held *before* it became
 * another program among that one's memory: who starts the measured program has to be small itself.
 */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval span)
{
    return span.tv_sec + span.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct timespec began, ended;
    struct rusage used;
    int status;
    if (argc < 3)
        errx(2, "usage: spent FILE PROGRAM [WORD...]");
    FILE *out = fopen(argv[1], "we");
    if (!out)
        err(2, "%s", argv[1]);
    clock_gettime(CLOCK_MONOTONIC, &began);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pid_t child = fork();
    if (child < 0)
        err(2, "fork");
    if (!child) {
        /* Who is interrupted leaves nothing behind that goes on reading a tree. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[2], argv + 2);
        err(127, "%s", argv[2]);
    }
    /* Output that this one holds open would look like output that is still to come. */
    close(0);
    close(1);
    if (wait4(child, &status, 0, &used) < 0)
        err(2, "wait4");
    clock_gettime(CLOCK_MONOTONIC, &ended);
    fprintf(out, "%.6f %.6f %ld\n", ended.tv_sec - began.tv_sec + (ended.tv_nsec - began.tv_nsec) / 1e9,
            seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss);
    fclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
