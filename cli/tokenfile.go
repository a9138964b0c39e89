package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/novatech/securevault/sink"
)

// tokenFile is where a login leaves its token, in the home directory. Other
// clients of the same API use the same file.
const tokenFile = ".vault-token"

// storedToken returns the token of the environment or else of the token file;
// "" if there is neither.
func storedToken(getenv func(string) string) (string, error) {
	if token := lookupEnv(getenv, "TOKEN"); token != "" {
		return token, checkToken(token, "the token in the environment")
	}
	path, err := tokenPath(getenv)
	if err != nil {
		return "", nil //nolint:nilerr // without a home there is no file, and no token
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", badInput("make the file readable, or set VAULT_TOKEN", "reading the token file: %w", err)
	}
	token := strings.TrimSuffix(string(content), "\n")
	return token, checkToken(token, fmt.Sprintf("the token file %q", path))
}

// checkToken refuses what cannot travel in an HTTP header. The error names
// where the token came from and nothing of the token.
func checkToken(token, source string) error {
	if strings.IndexFunc(token, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return nil
	}
	return badInput("a token is one line of printable characters: log in again, or copy it anew",
		"%s contains control characters", source)
}

// storeToken replaces the token file: whole, or not at all.
func storeToken(getenv func(string) string, token string) error {
	path, err := tokenPath(getenv)
	if err != nil {
		return err
	}
	if _, err := (sink.File{Path: path, Mode: sink.DefaultMode}).Write([]byte(token)); err != nil {
		return badInput("pass -no-store to do without the file", "storing the token: %w", err)
	}
	return nil
}

func tokenPath(getenv func(string) string) (string, error) {
	home := getenv("HOME")
	if home == "" {
		return "", badInput("set HOME, or pass -no-store", "HOME is not set, so there is no place for the token file")
	}
	return filepath.Join(home, tokenFile), nil
}
