/* Makes things as large as the kernel allows: what minirt reads of them must not grow along.

   greedy command-line BYTES [PORT]     a command line of that length, and a UDP socket; then sleep
   greedy files FOLDER COUNT LENGTH     so many files, with names of that length
   greedy folders FOLDER DEPTH LENGTH   folders inside each other, the last with a file in it
   greedy swap A B                exchange two names for ever
   greedy protect FILE...         make files immutable, as chattr(1) does
   greedy lease-to-read FILE...   take leases that end when somebody opens a file to write; then sleep
   greedy lease-to-write FILE...  take leases on new or old files that end when anybody opens one
   greedy sockets COUNT           so many UDP sockets that wait, then sleep; "all" tells the end */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int sleep_for_ever(void)
{
	puts("ready");
	fflush(stdout);
	while (1)
		pause();
}

/* proc_pid_stat(5) tells all that struct prctl_mm_map wants but auxv, which may be empty. */
static int command_line(size_t length)
{
	char *line = mmap(NULL, length, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (line == MAP_FAILED)
		return fail("mmap");
	memset(line, 'x', 1 << 16);
	line[length - 1] = 0;
	unsigned long long at[52];
	char text[4096], *field;
	FILE *file = fopen("/proc/self/stat", "r");
	if (!file || !fgets(text, sizeof(text), file))
		return fail("/proc/self/stat");
	field = strrchr(text, ')');
	for (int number = 2; field && number < 52; number++, field = strchr(field + 1, ' '))
		at[number] = strtoull(field + 1, NULL, 10);
	struct prctl_mm_map map = {
		.start_code = at[26], .end_code = at[27], .start_stack = at[28],
		.start_data = at[45], .end_data = at[46], .start_brk = at[47],
		.brk = (unsigned long)sbrk(0),
		.arg_start = (unsigned long)line, .arg_end = (unsigned long)line + length,
		.env_start = (unsigned long)line, .env_end = (unsigned long)line + length,
		.exe_fd = -1,
	};
	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0))
		return fail("PR_SET_MM_MAP");
	return sleep_for_ever();
}

static int files(const char *folder, long count, int length)
{
	char name[256];
	if (chdir(folder))
		return fail(folder);
	for (long number = 0; number < count; number++) {
		snprintf(name, sizeof(name), "%0*ld", length, number);
		if (mknod(name, S_IFREG | 0644, 0))
			return fail(name);
	}
	return 0;
}

static int folders(const char *folder, long depth, int length)
{
	char name[256];
	memset(name, 'd', length);
	name[length] = 0;
	if (chdir(folder))
		return fail(folder);
	for (; depth; depth--)
		if (mkdir(name, 0755) || chdir(name))
			return fail("mkdir");
	return mknod("file", S_IFREG | 0644, 0) ? fail("file") : 0;
}

static int wait_at(long host, long port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host);
	address.sin_port = htons(port);
	return bind(socket(AF_INET, SOCK_DGRAM, 0), (void *)&address, sizeof(address));
}

/* In processes that have as many as the usual limit of open files allows. */
static int sockets(long count)
{
	for (long number = 0; number < count; number++) {
		if (number && number % 10000 == 0 && fork())
			return sleep_for_ever();
		if (number % 10000 == 0)
			closefrom(3);
		if (wait_at(number / 10000, 20000 + number % 10000))
			return fail("bind");
	}
	puts("all");
	return sleep_for_ever();
}

static int swap(const char *a, const char *b)
{
	puts("ready");
	fflush(stdout);
	while (!renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE))
		;
	return fail("renameat2");
}

static int protect(char **files)
{
	for (; *files; files++) {
		int flags, fd = open(*files, O_RDONLY);
		if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags))
			return fail(*files);
		flags |= FS_IMMUTABLE_FL;
		if (ioctl(fd, FS_IOC_SETFLAGS, &flags))
			return fail(*files);
	}
	return 0;
}

static int lease(char **files, int kind)
{
	signal(SIGIO, SIG_IGN);
	for (; *files; files++) {
		int fd = open(*files, kind == F_WRLCK ? O_RDWR | O_CREAT : O_RDONLY, 0600);
		if (fd < 0 || fcntl(fd, F_SETLEASE, kind))
			return fail(*files);
	}
	return sleep_for_ever();
}

int main(int argc, char **argv)
{
	long first = argc > 3 ? atol(argv[3]) : argc > 2 ? atol(argv[2]) : 0;
	int length = argc > 4 ? atoi(argv[4]) : 0;
	if (argc == 4 && !strcmp(argv[1], "command-line") && wait_at(0, first))
		return fail("bind");
	if (argc >= 3 && !strcmp(argv[1], "command-line"))
		return command_line(strtoull(argv[2], NULL, 10));
	if (argc == 5 && !strcmp(argv[1], "files"))
		return files(argv[2], first, length);
	if (argc == 5 && !strcmp(argv[1], "folders"))
		return folders(argv[2], first, length);
	if (argc == 4 && !strcmp(argv[1], "swap"))
		return swap(argv[2], argv[3]);
	if (argc > 2 && !strcmp(argv[1], "protect"))
		return protect(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "lease-to-read"))
		return lease(argv + 2, F_RDLCK);
	if (argc > 2 && !strcmp(argv[1], "lease-to-write"))
		return lease(argv + 2, F_WRLCK);
	if (argc == 3 && !strcmp(argv[1], "sockets"))
		return sockets(first);
	return 2;
}
