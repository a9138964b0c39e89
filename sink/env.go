package sink

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/novatech/securevault/internal/vault"
)

// Variable is one of the environment.
type Variable struct {
	Name  string
	Value vault.Sensitive
}

// maxVariable is the longest NAME=value in bytes that Linux passes to a
// program: 128 KiB with the byte that ends it.
const maxVariable = 128<<10 - 1

// EnvFile returns the variables as a file for the EnvironmentFile= of a systemd
// unit: one NAME="value" a line, quoted as systemd.exec(5) says. A POSIX shell
// reads it the same way.
func EnvFile(variables []Variable) ([]byte, error) {
	if err := checkVariables(variables, Variable.checkText); err != nil {
		return nil, err
	}
	// Inside double quotes only these mean anything. Everything else, the end
	// of a line too, stands for itself.
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")
	var file bytes.Buffer
	for _, v := range variables {
		fmt.Fprintf(&file, "%s=\"%s\"\n", v.Name, quote.Replace(v.Value.Reveal()))
	}
	return file.Bytes(), nil
}

// Environ returns the variables as a program takes them: NAME=value.
func Environ(variables []Variable) ([]string, error) {
	if err := checkVariables(variables, Variable.check); err != nil {
		return nil, err
	}
	environ := make([]string, len(variables))
	for i, v := range variables {
		environ[i] = v.Name + "=" + v.Value.Reveal()
	}
	return environ, nil
}

// checkVariables checks each variable, and that no two have one name.
func checkVariables(variables []Variable, check func(Variable) error) error {
	seen := make(map[string]bool, len(variables))
	for _, v := range variables {
		err := check(v)
		if err == nil && seen[v.Name] {
			err = errors.New("there are two of that name; rename one")
		}
		if err != nil {
			return fmt.Errorf("encoding the variable %q: %w", v.Name, err)
		}
		seen[v.Name] = true
	}
	return nil
}

// check refuses what no program can be given.
func (v Variable) check() error {
	if err := checkName(v.Name); err != nil {
		return err
	}
	value := v.Value.Reveal()
	switch {
	case strings.ContainsRune(value, 0):
		return errors.New("the value holds a zero byte, which no variable can; encode it with base64, or write it to a file")
	case len(v.Name)+len("=")+len(value) > maxVariable:
		return fmt.Errorf("it has more than %d bytes, which no program can be started with; write it to a file", maxVariable)
	}
	return nil
}

// checkText refuses what systemd does not read from a file, besides.
func (v Variable) checkText() error {
	if err := v.check(); err != nil {
		return err
	}
	value := v.Value.Reveal()
	if !utf8.ValidString(value) || strings.ContainsFunc(value, isNoText) {
		return errors.New("the value is no UTF-8 text, and systemd refuses the file; encode it with base64, or write it to a file")
	}
	return nil
}

// isNoText reports whether a rune is a noncharacter or a byte order mark.
func isNoText(r rune) bool {
	return r&0xFFFE == 0xFFFE || 0xFDD0 <= r && r <= 0xFDEF || r == 0xFEFF
}

// checkName accepts what a shell can refer to.
func checkName(name string) error {
	for i, c := range []byte(name) {
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c < '0' || '9' < c) {
			return errors.New("a name has letters, digits and underscores, and starts with no digit; rename it")
		}
	}
	if name == "" {
		return errors.New("the name is empty; give it one")
	}
	return nil
}
