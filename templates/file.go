package templates

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// readFile returns the text of a regular file of at most MaxFile bytes. With a
// sandbox, the path must lead to a place inside that folder, and so must every
// symbolic link on the way.
func readFile(path, sandbox string) (string, error) {
	if sandbox == "" {
		return readBounded(path, os.Stat, os.Open)
	}
	inside, err := relativeTo(sandbox, path)
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(sandbox)
	if err != nil {
		return "", fmt.Errorf("opening the sandbox: %w", err)
	}
	defer func() { _ = root.Close() }()
	return readBounded(inside, root.Stat, root.Open)
}

// relativeTo returns path as seen from a folder that it must be in.
func relativeTo(folder, path string) (string, error) {
	base, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("finding the sandbox: %w", err)
	}
	target, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the file %q: %w", path, err)
	}
	inside, err := filepath.Rel(base, target)
	if err != nil || !filepath.IsLocal(inside) {
		return "", fmt.Errorf("the file %q is outside of the sandbox %q; move it there, or change sandbox_path", path, folder)
	}
	return inside, nil
}

func readBounded(
	path string, stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error),
) (string, error) {
	// Opening a pipe or a device could wait for ever.
	info, err := stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a regular file; name a file")
	}
	file, err := open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > MaxFile {
		return "", fmt.Errorf("it is larger than %d bytes; name a smaller file", MaxFile)
	}
	return string(text), nil
}
