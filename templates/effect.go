package templates

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Effect is a file that a template wants written beside its output, by the
// function writeToFile. Evaluating it writes nothing: the effects are there to
// be published with the output, and to be left alone where nothing changes.
type Effect struct {
	Path    string
	Owner   string // a user by name or id; "" for no change
	Group   string // a group by name or id; "" for no change
	Mode    fs.FileMode
	Content []byte // the whole of the file
}

// writeToFile takes the path, the owner, the group, the mode in octal, flags
// that may be left out ("append", "newline"), and what to write.
func (e *evaluation) writeToFile(path, owner, group, mode string, rest ...string) (string, error) {
	flags := ""
	switch len(rest) {
	case 1:
	case 2:
		flags = rest[0]
	default:
		return "", errors.New(`writeToFile takes a path, owner, group, mode, flags if any, and the content; see writeToFile "/path" "" "" "0600"`)
	}
	bits, err := strconv.ParseUint(mode, 8, 32)
	if err != nil || bits > 0o7777 {
		return "", fmt.Errorf("writing %q: %q is no mode; write it in octal, such as 0600", path, mode)
	}
	path = filepath.Clean(path)
	if err := checkInside(path, e.cfg.Sandbox); err != nil {
		return "", err
	}
	effect, written := e.written[path]
	appending := strings.Contains(flags, "append")
	switch {
	case !written && appending:
		// Evaluated again and again, it would make the file grow for ever.
		return "", fmt.Errorf("writing %q: append adds to what this template has written before; write the file's beginning first", path)
	case !written:
		effect = &Effect{Path: path}
		e.written[path] = effect
		e.effects = append(e.effects, effect)
	case !appending:
		effect.Content = nil
	}
	content := rest[len(rest)-1]
	if strings.Contains(flags, "newline") {
		content += "\n"
	}
	if e.effectSize += len(content); e.effectSize > MaxOutput {
		return "", errTooLarge
	}
	effect.Owner, effect.Group, effect.Mode = owner, group, fileMode(bits)
	effect.Content = append(effect.Content, content...)
	return "", nil
}

// fileMode turns the bits of chmod(2) into a mode.
func fileMode(bits uint64) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

// checkInside refuses a path for writing that leads out of the sandbox, be it
// by a symbolic link. What does not exist yet is looked for up to the folder
// that does.
func checkInside(path, sandbox string) error {
	if sandbox == "" {
		return nil
	}
	inside, err := relativeTo(sandbox, path)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(sandbox)
	if err != nil {
		return fmt.Errorf("opening the sandbox: %w", err)
	}
	defer func() { _ = root.Close() }()
	for {
		_, err := root.Stat(inside)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, fs.ErrNotExist) || inside == ".":
			return fmt.Errorf("writing %q in the sandbox %q: %w", path, sandbox, err)
		}
		if _, err := root.Lstat(inside); err == nil {
			return fmt.Errorf("writing %q: it is a symbolic link to nothing; remove it", path)
		}
		inside = filepath.Dir(inside)
	}
}
