/* Send a frame, and let the kernel write a checksum into it: checksum INTERFACE START OFFSET HEX.

   The sum is that of all from START to the end; it is written at START + OFFSET (packet(7),
   PACKET_VNET_HDR). Prints how setsockopt(2) ended: "0", or an error number. */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words)
{
	unsigned char packet[2048];
	struct virtio_net_hdr head = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	struct sockaddr_ll from = {.sll_family = AF_PACKET};
	int line = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
	size_t size = count == 5 ? strlen(words[4]) / 2 : 0;

	if (line < 0 || !size || size > sizeof packet - sizeof head)
		return 2;
	head.csum_start = atoi(words[2]);
	head.csum_offset = atoi(words[3]);
	memcpy(packet, &head, sizeof head);
	for (size_t i = 0; i < size; i++)
		sscanf(words[4] + 2 * i, "%2hhx", packet + sizeof head + i);
	from.sll_ifindex = if_nametoindex(words[1]);
	if (bind(line, (struct sockaddr *)&from, sizeof from))
		return 2;
	int failed = setsockopt(line, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on);
	printf("%d\n", failed ? errno : 0);
	if (!failed && send(line, packet, sizeof head + size, 0) < 0)
		return 1;
	usleep(50000); /* It has arrived when this ends. */
	return 0;
}
