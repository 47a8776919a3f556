/* Ask the kernel for what a container must not have, one call a line: "name errno".

   Each call has arguments that can't do anything: what is let through fails with EINVAL, EFAULT
   or EBADF, and what is filtered fails before the arguments are looked at. */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/net.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BAD 1L /* no address, and no descriptor that is open for such things */

static void ask(const char *name, long number, long a, long b, long c, long d, long e)
{
	errno = 0;
	long result = syscall(number, a, b, c, d, e, 0L);
	printf("%s %d\n", name, result == -1 ? errno : 0);
}

#define ASK(name, ...) ask(#name, SYS_##name, __VA_ARGS__)

#ifdef __x86_64__
static long int80(long number, long first, long second) /* The third argument is 0. */
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

/* Return 0 for a descriptor, or for a family that this kernel was built without. */
static int made(long result)
{
	return result == -EAFNOSUPPORT || result >= 0 ? 0 : (int)-result;
}
#endif

/* Try each type of socket of a family. Return 0 if one can be made, or the last error. */
static int tried(int family, long (*make)(int family, int type))
{
	long result = -1;
	for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET && result < 0; type++)
		result = make(family, type);
	if (result >= 0)
		close((int)result);
	return result < 0 ? (int)-result : 0;
}

static long one(int family, int type)
{
	long result = syscall(SYS_socket, family, type, 0);
	return result < 0 ? -errno : result;
}

static long pair(int family, int type)
{
	int both[2];
	long result = syscall(SYS_socketpair, family, type, 0, both);
	return result < 0 ? -errno : both[0];
}

#ifdef __x86_64__
static long one_of_i386(int family, int type)
{
	return int80(359, family, type);
}
#endif

static void ask_for_families(void)
{
	for (int family = 0; family <= 45; family++) {
		printf("socket-%d %d\n", family, tried(family, one));
		printf("socketpair-%d %d\n", family, tried(family, pair));
#ifdef __x86_64__
		printf("i386-%d %d\n", family, tried(family, one_of_i386));
#endif
	}
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "families")) {
		ask_for_families();
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "euid")) {
		printf("%d\n", geteuid());
		return 0;
	}
#ifdef __x86_64__
	if (argc > 1 && !strcmp(argv[1], "i386")) {
		/* arch/x86/entry/syscalls/syscall_32.tbl */
		printf("unshare %ld\n", -int80(310, 1L, 0));
		printf("getpid %d\n", int80(20, 0, 0) == getpid() ? 0 : 1);
		/* The arguments of socketcall(2) are in memory, whose address must have 32 bits. */
		unsigned *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		words[0] = AF_ALG, words[1] = SOCK_SEQPACKET, words[2] = 0;
		printf("socketcall-AF_ALG %d\n", made(int80(102, SYS_SOCKET, (long)words)));
		words[0] = AF_UNIX, words[1] = SOCK_STREAM, words[3] = (unsigned)(long)(words + 8);
		printf("socketcall-socketpair %d\n", made(int80(102, SYS_SOCKETPAIR, (long)words)));
		printf("socket-AF_ALG %d\n", made(int80(359, AF_ALG, SOCK_SEQPACKET)));
		return 0;
	}
	ask("x32-unshare", 0x40000000 + SYS_unshare, 1, 0, 0, 0, 0);
#endif
	ASK(unshare, 1, 0, 0, 0, 0);
	ASK(setns, -1, 0, 0, 0, 0);
	ASK(clone, CLONE_NEWUSER | CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0);
	ASK(clone3, BAD, 88, 0, 0, 0);
	ASK(mount, BAD, BAD, BAD, 0, BAD);
	ASK(umount2, BAD, -1, 0, 0, 0);
	ASK(pivot_root, BAD, BAD, 0, 0, 0);
	ASK(open_tree, -1, BAD, 0, 0, 0);
	ASK(move_mount, -1, BAD, -1, BAD, 0);
	ASK(fsopen, BAD, 0, 0, 0, 0);
	ASK(mount_setattr, -1, BAD, 0, BAD, 0);
	ASK(bpf, -1, BAD, 8, 0, 0);
	ASK(perf_event_open, BAD, 0, 0, -1, 0);
	ASK(keyctl, -1, 0, 0, 0, 0);
	ASK(add_key, BAD, BAD, BAD, 1, 0);
	ASK(request_key, BAD, BAD, BAD, 0, 0);
	ASK(userfaultfd, -1, 0, 0, 0, 0);
	ASK(io_uring_setup, 1, BAD, 0, 0, 0);
	ASK(io_uring_enter, -1, 0, 0, 0, 0);
	ASK(io_uring_register, -1, 0, 0, 0, 0);
	ASK(open_by_handle_at, -1, BAD, 0, 0, 0);
	ASK(kexec_load, 0, 1000, BAD, -1, 0);
	ASK(init_module, BAD, 0, BAD, 0, 0);
	ASK(finit_module, -1, BAD, -1, 0, 0);
	ASK(delete_module, BAD, 0, 0, 0, 0);
	ASK(swapon, BAD, 0, 0, 0, 0);
	ASK(swapoff, BAD, 0, 0, 0, 0);
	ASK(reboot, 0, 0, 0, 0, 0);
	ASK(quotactl, -1, BAD, 0, BAD, 0);
	ASK(acct, BAD, 0, 0, 0, 0);
	ASK(syslog, -1, 0, 0, 0, 0);
	ASK(settimeofday, BAD, 0, 0, 0, 0);
	ASK(kcmp, -1, -1, -1, 0, 0);
	ASK(pidfd_getfd, -1, -1, 0, 0, 0);
	ASK(sethostname, BAD, 100000, 0, 0, 0);
	ask("AF_ALG", SYS_socket, 38, 5, 0, 0, 0);
	ask("AF_ALG with a bit more", SYS_socket, (1L << 32) + 38, 5, 0, 0, 0);
	ask("AF_VSOCK", SYS_socket, 40, 1, 0, 0, 0);
	ask("+socket", SYS_socket, 1, 1, 0, 0, 0);
	ASK(getpid, 0, 0, 0, 0, 0);
	return 0;
}
