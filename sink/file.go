package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// DefaultMode is the mode of a file that is new and was given none.
const DefaultMode fs.FileMode = 0o600

// folderMode is that of the folders made for a destination, before the umask.
const folderMode fs.FileMode = 0o755

// File is a destination.
type File struct {
	Path       string
	Mode       fs.FileMode // 0 keeps that of the file there is, else DefaultMode
	Owner      string      // a user by name or id; empty keeps that of the file there is
	Group      string      // a group by name or id; likewise
	CreateDirs bool        // make the folders that are missing
	Backup     bool        // keep what is replaced as NAME.bak
	InPlace    bool        // write over the file there is, for one that is mounted by itself
}

// Check reports what would certainly keep the file from being written: an
// unknown owner, a folder that is missing or not ours to write to. It changes
// nothing, and is meant to be asked before a secret is issued for the file.
func (f File) Check() error {
	if err := f.check(); err != nil {
		return failed("checking", f.Path, err)
	}
	return nil
}

func (f File) check() error {
	if _, err := f.ids(); err != nil {
		return err
	}
	target, err := f.target()
	if err != nil {
		return err
	}
	switch info, err := os.Lstat(target); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := checkRegular(info); err != nil {
			return err
		}
		if f.InPlace {
			if err := unix.Access(target, unix.W_OK); err != nil {
				return err
			}
			if !f.Backup {
				return nil
			}
		}
	}
	return checkWritable(filepath.Dir(target), f.CreateDirs)
}

// checkWritable reports whether files can be made in a folder, or the folder
// itself where it is missing and may be made.
func checkWritable(folder string, create bool) error {
	for create && missing(folder) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
	}
	if err := checkFolder(folder); err != nil {
		return err
	}
	if err := unix.Access(folder, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("using the folder %q: %w", folder, err)
	}
	return nil
}

// target returns the file to write, where the path is a link the one that it
// points to.
func (f File) target() (string, error) {
	switch {
	case f.Path == "":
		return "", errors.New("the path is empty; name a file")
	case os.IsPathSeparator(f.Path[len(f.Path)-1]):
		return "", errIsFolder
	default:
		return follow(f.Path)
	}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func checkFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("using the folder %q: %w; make it or set create_dest_dirs = true", path, fs.ErrNotExist)
	case err != nil:
		return fmt.Errorf("using the folder %q: %w", path, bare(err))
	case !info.IsDir():
		return fmt.Errorf("using the folder %q: %w", path, syscall.ENOTDIR)
	default:
		return nil
	}
}

func checkRegular(info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return errIsFolder
	case !info.Mode().IsRegular():
		return fmt.Errorf("it is no regular file (%s); name one, or remove it", info.Mode().Type())
	default:
		return nil
	}
}

var errIsFolder = errors.New("it is a folder; add the name of a file to the path")

// maxLinks bounds a chain of symbolic links.
const maxLinks = 40

// follow returns the file that path stands for when it is a symbolic link,
// whether or not that file exists. Links in the folders above are left to the
// kernel.
func follow(path string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Type() != fs.ModeSymlink {
			return path, nil //nolint:nilerr // what is wrong with the file is told by whoever opens it
		}
		if err := checkLink(path, info); err != nil {
			return "", err
		}
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			// Not Join: it would resolve ".." without regard to links.
			target = filepath.Dir(path) + string(filepath.Separator) + target
		}
		path = target
	}
	return "", syscall.ELOOP
}

// checkLink refuses to follow what the kernel's protected_symlinks refuses: in
// a folder where everybody may put links, one that is neither ours nor of the
// folder's owner could lead a privileged agent to any file.
func checkLink(path string, link fs.FileInfo) error {
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if folder.Mode().Perm()&0o002 == 0 {
		return nil
	}
	owner := link.Sys().(*syscall.Stat_t).Uid
	if owner == uint32(os.Geteuid()) || owner == folder.Sys().(*syscall.Stat_t).Uid {
		return nil
	}
	return errors.New("it is a link that another user put into a folder open to everybody; remove it")
}
