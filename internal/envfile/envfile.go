// Package envfile writes variables for the EnvironmentFile= of a systemd unit,
// one NAME="value" a line, quoted as systemd.exec(5) says. A POSIX shell reads
// it the same way.
//
// Start reading at [Line].
package envfile

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Line returns the line that sets a variable, its end included. The name must
// be one that a shell can refer to. The error tells why systemd would refuse the
// whole file; it does not hold the value.
func Line(name, value string) (string, error) {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, isNoText) {
		return "", errors.New("the value is no UTF-8 text, and systemd refuses the file; encode it with base64, or write it to a file")
	}
	// Inside double quotes only these mean anything. Everything else, the end
	// of a line too, stands for itself.
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")
	return name + `="` + quote.Replace(value) + "\"\n", nil
}

// isNoText reports whether a rune is zero, a noncharacter or a byte order mark.
func isNoText(r rune) bool {
	return r == 0 || r&0xFFFE == 0xFFFE || 0xFDD0 <= r && r <= 0xFDEF || r == 0xFEFF
}
