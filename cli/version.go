package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

func versionCommand() command {
	return command{
		synopsis: "Print the version",
		about:    "Prints the version of this program.",
		examples: []string{"version"},
		offline:  true,
		run: func(_ context.Context, s *session, _ []string) error {
			fmt.Fprintln(s.stdio.Stdout, versionLine())
			return nil
		},
	}
}

// versionLine describes this build as the Go toolchain stamped it.
func versionLine() string {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return fmt.Sprintf("SecureVault %s (%s)", version, runtime.Version())
}
