/* Pass sockets of one container to another one, by a socket in a volume that both have.

   give PATH IPv4 PORT  connect a UDP socket to the address, and hand it over
   take PATH            receive one, and send a byte through it ten times a second

   "ready" on standard output says that the socket is handed over. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int give(int line, const char *address, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	char room[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec text = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	if (connect(fd, (void *)&to, sizeof(to)))
		return 1;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return sendmsg(line, &message, 0) != 1;
}

static int take(int line)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec text = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	int fd;

	if (recvmsg(line, &message, 0) != 1)
		return 1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	puts("ready");
	fflush(stdout);
	for (;;) {
		send(fd, "x", 1, MSG_DONTWAIT);
		usleep(100000);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int line = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc < 3)
		return 2;
	strncpy(at.sun_path, argv[2], sizeof(at.sun_path) - 1);
	if (!strcmp(argv[1], "take")) {
		if (bind(line, (void *)&at, sizeof(at)) || listen(line, 1))
			return 1;
		return take(accept(line, NULL, NULL));
	}
	while (connect(line, (void *)&at, sizeof(at)))
		usleep(10000);
	if (give(line, argv[3], atoi(argv[4])))
		return 1;
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
