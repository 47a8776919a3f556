/* Try to change every inode that a container was handed, and tell which let themselves be changed.

   The inodes are those of the standard descriptors, of everything in /dev, in /proc/self/fd and
   in /proc/self/ns, and of every mount (so also of every masked path). For each inode that a
   change succeeded on, one line: "path major:minor inode what-succeeded...". Files of /proc, /sys and
   of cgroups are left out: they have the owners and modes that the kernel gives them. */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PROC 0x9fa0 /* include/uapi/linux/magic.h */
#define SYSFS 0x62656572
#define CGROUP 0x27e0eb
#define CGROUP2 0x63677270

static void attack(const char *path)
{
	struct stat found;
	struct statfs system;
	struct timespec times[2] = {{1, 0}, {1, 0}};

	if (stat(path, &found) || statfs(path, &system))
		return;
	if (system.f_type == PROC || system.f_type == SYSFS || system.f_type == CGROUP ||
	    system.f_type == CGROUP2)
		return;
	int mode = !chmod(path, (found.st_mode & 07777) ^ 01);
	int owner = !chown(path, found.st_uid ? 0 : 1, found.st_gid ? 0 : 1);
	int time = !utimensat(AT_FDCWD, path, times, 0);
	int touched = !utimensat(AT_FDCWD, path, NULL, 0);
	int attribute = !setxattr(path, "security.minirt", "x", 1, 0) ||
			!setxattr(path, "trusted.minirt", "x", 1, 0) ||
			!setxattr(path, "user.minirt", "x", 1, 0);
	int written = 0;
	if (S_ISREG(found.st_mode)) {
		int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		written = fd >= 0 && write(fd, "x", 1) == 1;
		close(fd);
	}
	if (!(mode || owner || time || touched || attribute || written))
		return;
	if (owner) /* It is used again; its times tell of the attack all the same. */
		chown(path, found.st_uid, found.st_gid);
	if (mode || owner)
		chmod(path, found.st_mode & 07777);
	printf("%s %u:%u %lu%s%s%s%s%s%s\n", path, major(found.st_dev), minor(found.st_dev),
	       (unsigned long)found.st_ino, mode ? " chmod" : "", owner ? " chown" : "",
	       time ? " utimes" : "", touched ? " touch" : "", attribute ? " setxattr" : "",
	       written ? " write" : "");
}

static void attack_folder(const char *folder)
{
	char path[4096];
	struct dirent *one;
	DIR *all = opendir(folder);

	while (all && (one = readdir(all))) {
		snprintf(path, sizeof path, "%s/%s", folder, one->d_name);
		if (strcmp(one->d_name, ".") && strcmp(one->d_name, ".."))
			attack(path);
	}
	if (all)
		closedir(all);
}

int main(void)
{
	char path[4096], line[16384];
	FILE *mounts = fopen("/proc/self/mountinfo", "re");

	setvbuf(stdout, NULL, _IOFBF, 1 << 16); /* as many descriptors as there were */
	attack_folder("/proc/self/fd");
	attack_folder("/proc/self/ns");
	attack_folder("/dev");
	while (mounts && fgets(line, sizeof line, mounts))
		if (sscanf(line, "%*d %*d %*s %*s %4095s", path) == 1)
			attack(path);
	fflush(stdout);
	return 0;
}
