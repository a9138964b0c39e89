package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Unprivileged hands the folder and what is in it to an account if we are root,
// as whom many servers refuse to run, and returns as whom to run them. Otherwise
// it returns nil: as we are. The hint says how to come by the account.
func Unprivileged(folder, account, hint string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup(account)
	if err != nil {
		return nil, fmt.Errorf("looking up the account %s: %w: %s", account, err, hint)
	}
	uid, uidErr := strconv.Atoi(found.Uid)
	gid, gidErr := strconv.Atoi(found.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, err
	}
	err = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}
