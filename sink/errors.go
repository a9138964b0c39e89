package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// failed says what was done to which file. Errors of the system get a hint.
func failed(doing, path string, err error) error {
	err = bare(err)
	if h := hint(err); h != "" {
		return fmt.Errorf("%s %q: %w; %s", doing, path, err, h)
	}
	return fmt.Errorf("%s %q: %w", doing, path, err)
}

// bare returns an error of package os without its path, which may be that of
// a temporary file.
func bare(err error) error {
	switch e := err.(type) { //nolint:errorlint // only the outermost error names the path that is told anyway
	case *fs.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	default:
		return err
	}
}

func hint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space; the file is as it was before"
	case errors.Is(err, syscall.EBUSY):
		return "it is a mount point, such as a single file mounted into a container: set in_place = true, or mount its folder instead"
	case errors.Is(err, syscall.EROFS):
		return "name a file on a file system that can be written to"
	case errors.Is(err, syscall.EPERM):
		return "run the agent as root or with CAP_CHOWN and CAP_FOWNER, or leave owner, group and backup out"
	case errors.Is(err, fs.ErrPermission):
		return "let the user of the agent write to the folder"
	case errors.Is(err, syscall.ENOTDIR):
		return "a part of the path is a file, not a folder"
	case errors.Is(err, syscall.ELOOP):
		return "the links lead in a circle"
	default:
		return ""
	}
}
