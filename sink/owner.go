package sink

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// unset is the id that chown(2) takes for "leave as it is".
const unset = -1

// ids are those of a user and a group.
type ids struct {
	uid, gid int
}

// ids looks up the owner and the group of the file, unset where none is given.
func (f File) ids() (ids, error) {
	uid, err := id("user", f.Owner, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return ids{}, err
	}
	gid, err := id("group", f.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return ids{uid, gid}, err
}

// id turns a name or a number into an id. A number needs no account: inside a
// container there often is none.
func id(kind, name string, lookup func(string) (string, error)) (int, error) {
	if name == "" {
		return unset, nil
	}
	text := name
	if _, err := strconv.Atoi(name); err != nil {
		if text, err = lookup(name); err != nil {
			return unset, fmt.Errorf("looking up the %s %q: %w; create it or give its numeric id", kind, name, err)
		}
	}
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == math.MaxUint32 {
		return unset, fmt.Errorf("looking up the %s %q: it is no id; ids go from 0 to 4294967294", kind, name)
	}
	return int(number), nil
}

// owners returns the ids of a file that exists.
func owners(info fs.FileInfo) ids {
	stat := info.Sys().(*syscall.Stat_t)
	return ids{int(stat.Uid), int(stat.Gid)}
}

// or returns i, with other's ids where i has none.
func (i ids) or(other ids) ids {
	if i.uid == unset {
		i.uid = other.uid
	}
	if i.gid == unset {
		i.gid = other.gid
	}
	return i
}

// give sets the owner and then the mode of an open file. Between the two the
// file is never open to more users than before and after.
func give(file *os.File, to ids, mode fs.FileMode) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if owners(info) != to.or(owners(info)) {
		if err := file.Chmod(info.Mode().Perm() & mode.Perm()); err != nil {
			return fmt.Errorf("setting the mode: %w", bare(err))
		}
		if err := file.Chown(to.uid, to.gid); err != nil {
			return fmt.Errorf("setting the owner: %w", bare(err))
		}
	}
	if err := file.Chmod(mode); err != nil {
		return fmt.Errorf("setting the mode: %w", bare(err))
	}
	return nil
}
