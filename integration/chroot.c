/* The oldest way out of a chroot(2): a second one below the working directory, and then up and up.
   Prints "out" if that led to a root that has the file of the first argument, else "in". */

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	mkdir("/below", 0755);
	if (argc < 2 || chroot("/below"))
		return 1;
	for (int i = 0; i < 64; i++)
		if (chdir(".."))
			return 2;
	if (chroot("."))
		return 3;
	puts(access(argv[1], F_OK) ? "in" : "out");
	return 0;
}
