package program

import (
	"fmt"
	"slices"
	"strings"
)

// tail keeps the last bytes written to it.
type tail struct {
	kept []byte
	cut  bool
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if excess := len(t.kept) - maxTail; excess > 0 {
		t.kept = slices.Delete(t.kept, 0, excess)
		t.cut = true
	}
	return len(p), nil
}

// String returns what was kept on one line, with control characters escaped.
func (t *tail) String() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "?"))
	if text == "" {
		return ""
	}
	if t.cut {
		text = "…" + text
	}
	return fmt.Sprintf("%q", text)
}
