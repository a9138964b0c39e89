// Package check asks a program of the user's whether new content works,
// before it is published: whether the database takes the new password, say.
//
// A [Check] is a plain value, and [Check.Run] is one run of it on content that
// lies beside its destination. It decides nothing but its own outcome: what
// was in place stays in place, and whether to ask again is the caller's
// business.
package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/novatech/securevault/agent/program"
)

// maxStaged bounds SECUREVAULT_STAGED, in bytes; the kernel refuses 128 KiB.
const maxStaged = 120 << 10

// Check is a program that must end with status 0 before new content is
// published. It finds the path of the first new file in
// SECUREVAULT_STAGED_FILE, and in SECUREVAULT_STAGED a JSON object with the
// path of each, by the destination that it is to have. It must neither change
// nor keep these files.
type Check program.Program

// Staged is new content, ready to be published.
type Staged struct {
	Destination string
	Path        string // where the content lies until then
}

// String names the program, for logs. Arguments may be secret.
func (c Check) String() string { return program.Program(c).String() }

// Run returns nil if the program has nothing against the files. Otherwise the
// error ends with the last 4 KiB of what it printed; see
// [program.Program.Run].
func (c Check) Run(ctx context.Context, files ...Staged) error {
	if len(files) == 0 {
		return errors.New("checking new content: no file is staged; check what there is to publish")
	}
	var first string
	paths := make(map[string]string, len(files)) // destination → where the content lies
	for i, file := range files {
		// A shell takes a name without a slash for that of a program.
		if absolute, err := filepath.Abs(file.Path); err == nil {
			file.Path = absolute
		}
		paths[file.Destination] = file.Path
		if i == 0 {
			first = file.Path
		}
	}
	list, err := json.Marshal(paths)
	if err != nil {
		return fmt.Errorf("listing the staged files: %w", err)
	}
	if len(list) > maxStaged {
		return fmt.Errorf("checking new content: the paths of %d files exceed the %d KiB of an environment variable; have fewer outputs share one secret",
			len(files), maxStaged>>10)
	}
	if err := program.Program(c).Run(ctx, "SECUREVAULT_STAGED="+string(list), "SECUREVAULT_STAGED_FILE="+first); err != nil {
		return fmt.Errorf("checking new content: %w", err)
	}
	return nil
}
