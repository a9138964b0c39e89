package notify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/novatech/securevault/agent/program"
)

// maxChanged bounds SECUREVAULT_CHANGED, in bytes; the kernel refuses 128 KiB.
const maxChanged = 64 << 10

// Command runs a program. It finds the number of the generation in
// SECUREVAULT_GENERATION and the destinations that changed in
// SECUREVAULT_CHANGED, separated by commas (a list of more than 64 KiB ends
// with ",…").
type Command program.Program

// String names the program, for logs. Arguments may be secret.
func (c Command) String() string { return program.Program(c).String() }

// Notify implements [Notifier]; see [program.Program.Run].
func (c Command) Notify(ctx context.Context, event Event) error {
	return program.Program(c).Run(ctx,
		fmt.Sprintf("SECUREVAULT_GENERATION=%d", event.Generation),
		"SECUREVAULT_CHANGED="+joinBounded(event.Changed))
}

func joinBounded(names []string) string {
	length := 0
	for i, name := range names {
		if length += len(name) + 1; length > maxChanged {
			return strings.Join(append(slices.Clone(names[:i]), "…"), ",")
		}
	}
	return strings.Join(names, ",")
}
