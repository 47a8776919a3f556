/* Keys as a host has them, and as an intruder asks for them (keyrings(7)).

   keys hold NAME VALUE COMMAND...   have a key in a new session keyring, and become a command
   keys leave UID NAME VALUE         leave a key in the keyring of a user, for a minute
   keys take session|user NAME       print a key of such a keyring, or why there is none */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(void)
{
	puts(strerror(errno));
	return 1;
}

static long add(const char *name, const char *value, long ring)
{
	return syscall(SYS_add_key, "user", name, value, strlen(value), ring);
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "hold")) {
		if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0L) < 0 ||
		    add(argv[2], argv[3], KEY_SPEC_SESSION_KEYRING) < 0)
			return failed();
		execvp(argv[4], argv + 4);
		return failed();
	}
	if (argc == 5 && !strcmp(argv[1], "leave")) {
		uid_t uid = atoi(argv[2]);
		/* Only who possesses a key, by way of its session, may set its timeout. */
		if (setresuid(uid, uid, uid) < 0 ||
		    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0L) < 0 ||
		    syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING,
			    KEY_SPEC_SESSION_KEYRING) < 0)
			return failed();
		long key = add(argv[3], argv[4], KEY_SPEC_USER_KEYRING);
		if (key < 0 || syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, 60L) < 0)
			return failed();
		return 0;
	}
	if (argc != 4 || strcmp(argv[1], "take"))
		return 2;
	/* Only what the session keyring leads to may be read. */
	if (!strcmp(argv[2], "user") && syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING,
						KEY_SPEC_SESSION_KEYRING) < 0)
		return failed();
	char value[100];
	long session = KEY_SPEC_SESSION_KEYRING;
	long key = syscall(SYS_keyctl, KEYCTL_SEARCH, session, "user", argv[3], 0L);
	long length = key < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_READ, key, value, sizeof value);
	if (length < 0)
		return failed();
	printf("%.*s\n", (int)length, value);
	return 0;
}
