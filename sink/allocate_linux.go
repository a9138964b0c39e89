package sink

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate sets disk space aside for a file without changing it, on file
// systems that can do so.
func allocate(file *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	for {
		switch err := unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, errors.ErrUnsupported):
			return nil
		default:
			return err
		}
	}
}
