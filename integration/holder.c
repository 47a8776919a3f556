/* Hold every other process of the container, in the way that the first argument says.

   stop   stop it, over and over
   trace  trace it, interrupt it, and stop it again at its end (ptrace(2))
   flood  fork as much as possible, and print without end

   "ready" on standard output says that it has begun. */

#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

static void trace_all(void)
{
	DIR *all = opendir("/proc");
	struct dirent *one;

	while (all && (one = readdir(all))) {
		pid_t pid = atoi(one->d_name);
		if (pid <= 1 || pid == getpid())
			continue;
		if (!ptrace(PTRACE_SEIZE, pid, 0L, PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC))
			ptrace(PTRACE_INTERRUPT, pid, 0L, 0L);
	}
	if (all)
		closedir(all);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	puts("ready");
	fflush(stdout);
	for (;;)
		if (!strcmp(how, "stop")) {
			kill(-1, SIGSTOP);
		} else if (!strcmp(how, "trace")) {
			trace_all();
		} else {
			if (fork() < 0)
				usleep(1000);
			puts("a line of output that nobody has asked for");
		}
}
