/* Fills the tables of its network namespace (rtnetlink(7)), prints "ready", and sleeps.

   crowd addresses|routes|neighbours COUNT    of the link eth0
   crowd links COUNT                          pairs of veth links */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[1 << 16];
static struct nlmsghdr *message;

static void begin(int kind, const void *body, int size)
{
	message = (struct nlmsghdr *)buffer;
	memset(buffer, 0, 512);
	message->nlmsg_len = NLMSG_LENGTH(size);
	message->nlmsg_type = kind;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
	memcpy(NLMSG_DATA(message), body, size);
}

static void put(int kind, const void *value, int size)
{
	struct rtattr *attribute = (void *)(buffer + NLMSG_ALIGN(message->nlmsg_len));
	attribute->rta_type = kind;
	attribute->rta_len = RTA_LENGTH(size);
	memcpy(RTA_DATA(attribute), value, size);
	message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static int tell(int line)
{
	char answer[4096];
	if (send(line, buffer, message->nlmsg_len, 0) < 0 || recv(line, answer, sizeof(answer), 0) < 0)
		return -1;
	return ((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer))->error;
}

static int make(int line, const char *what, unsigned number, int link)
{
	unsigned address = htonl((100u << 24) + 1 + number);
	if (!strcmp(what, "addresses")) {
		struct ifaddrmsg body = {AF_INET, 32, 0, 0, link};
		begin(RTM_NEWADDR, &body, sizeof(body));
		put(IFA_LOCAL, &address, 4);
	} else if (!strcmp(what, "routes")) {
		struct rtmsg body = {AF_INET, 32, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_LINK, RTN_UNICAST, 0};
		begin(RTM_NEWROUTE, &body, sizeof(body));
		put(RTA_DST, &address, 4);
		put(RTA_OIF, &link, 4);
	} else if (!strcmp(what, "neighbours")) {
		struct ndmsg body = {AF_INET, 0, 0, link, NUD_PERMANENT, 0, 0};
		begin(RTM_NEWNEIGH, &body, sizeof(body));
		put(NDA_DST, &address, 4);
		put(NDA_LLADDR, "\2\0\0\0\0\1", 6);
	} else {
		struct ifinfomsg body = {0};
		char name[16];
		snprintf(name, sizeof(name), "l%u", number);
		begin(RTM_NEWLINK, &body, sizeof(body));
		put(IFLA_IFNAME, name, strlen(name) + 1);
		struct rtattr *info = (void *)(buffer + NLMSG_ALIGN(message->nlmsg_len));
		put(IFLA_LINKINFO, "", 0);
		put(IFLA_INFO_KIND, "veth", 4);
		info->rta_len = buffer + message->nlmsg_len - (char *)info;
	}
	return tell(line);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int line = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), link = if_nametoindex("eth0");
	for (unsigned number = 0; number < (unsigned)atol(argv[2]); number++) {
		int error = make(line, argv[1], number, link);
		if (error) {
			fprintf(stderr, "%s %u: %s\n", argv[1], number, strerror(-error));
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	while (1)
		pause();
}
