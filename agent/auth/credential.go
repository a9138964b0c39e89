package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// maxCredential is the largest credential that is read, in bytes, be it a
// file or the answer of a cloud.
const maxCredential = 1 << 20

// credentialFile is a file that holds one credential, such as a secret id.
// With remove it is deleted after it was read, and the credential is kept in
// memory for later logins.
type credentialFile struct {
	what   string // it holds: "secret id"
	path   string
	remove bool
	option string // that asks for the removal, for the hint
	follow bool   // the removal deletes what a link points to, not the link
	phrase bool   // white space may be part of it, as in a password
	kept   vault.Sensitive
}

// read returns the credential, newly if its file is there: whoever writes one
// means it to be used.
func (f *credentialFile) read() (vault.Sensitive, error) {
	read := readCredential
	if f.phrase {
		read = readPassword
	}
	value, err := read(f.what, f.path)
	if errors.Is(err, fs.ErrNotExist) && f.kept != "" {
		return f.kept, nil
	}
	if err != nil {
		return "", err
	}
	f.kept = value
	return value, f.clear()
}

// clear removes the file if it is to be read once only.
func (f *credentialFile) clear() error {
	if !f.remove {
		return nil
	}
	path := f.path
	if f.follow {
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("removing the %s after reading: %w", f.what, err)
		}
		path = target
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the %s after reading: %w; set %s = false to keep it", f.what, err, f.option)
	}
	return nil
}

// readCredential reads a file that holds one credential, such as a token or a
// secret id. Surrounding white space is not part of it.
func readCredential(what, path string) (vault.Sensitive, error) {
	content, err := readSmall(what, path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(content)
	if text == "" {
		return "", fmt.Errorf("reading the %s: %q is empty", what, path)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", fmt.Errorf("reading the %s: %q holds white space or control characters inside; it must hold the bare value", what, path)
	}
	return vault.Sensitive(text), nil
}

// readPassword reads a file that holds a password, in which only the end of
// the line is not part of it.
func readPassword(what, path string) (vault.Sensitive, error) {
	content, err := readSmall(what, path)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(content, "\r\n")
	switch {
	case text == "":
		return "", fmt.Errorf("reading the %s: %q is empty", what, path)
	case strings.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Errorf("reading the %s: %q holds several lines; it must hold the bare value", what, path)
	}
	return vault.Sensitive(text), nil
}

// readSmall reads a file of no more than maxCredential bytes.
func readSmall(what, path string) (string, error) {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("reading the %s: %w; write it there, or correct the path in the method's config", what, err)
	case err != nil:
		return "", fmt.Errorf("reading the %s: %w", what, err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxCredential+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the %s: %w", what, err)
	case len(content) > maxCredential:
		return "", fmt.Errorf("reading the %s: %q is larger than %d bytes; correct the path in the method's config", what, path, maxCredential)
	}
	return string(content), nil
}
