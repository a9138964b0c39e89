package sink

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/novatech/securevault/internal/envfile"
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
// unit. See [envfile].
func EnvFile(variables []Variable) ([]byte, error) {
	var file bytes.Buffer
	err := encode(variables, func(v Variable) error {
		line, err := envfile.Line(v.Name, v.Value.Reveal())
		file.WriteString(line)
		return err
	})
	if err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// Environ returns the variables as a program takes them: NAME=value.
func Environ(variables []Variable) ([]string, error) {
	var environ []string
	err := encode(variables, func(v Variable) error {
		environ = append(environ, v.Name+"="+v.Value.Reveal())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return environ, nil
}

// encode adds each variable, if a program can be given it and no two have one
// name.
func encode(variables []Variable, add func(Variable) error) error {
	seen := make(map[string]bool, len(variables))
	for _, v := range variables {
		err := v.check()
		if err == nil && seen[v.Name] {
			err = errors.New("there are two of that name; rename one")
		}
		if err == nil {
			err = add(v)
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
