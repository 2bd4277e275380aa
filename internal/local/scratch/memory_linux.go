package scratch

import "golang.org/x/sys/unix"

// sharedMemory is the file system in memory that Linux has for programs.
const sharedMemory = "/dev/shm"

// inMemory is a file system in memory, where there is one with room, on a machine that can spare it.
func inMemory() (string, bool) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil || uint64(info.Totalram)*uint64(info.Unit) < room { //nolint:unconvert // 32 bits have other types
		return "", false
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(sharedMemory, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC || fs.Bavail*uint64(fs.Bsize) < room {
		return "", false
	}
	return sharedMemory, unix.Access(sharedMemory, unix.W_OK) == nil
}
