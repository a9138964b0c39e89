package cli

import (
	"context"
	"errors"
	"fmt"
)

func statusCommand() command {
	return command{
		usage:    "[options]",
		synopsis: "Show whether the server is sealed",
		about: "Shows the state of the server's seal. Needs no token. Exits with 0 if the server\n" +
			"is unsealed, 2 if it is sealed, 1 if that cannot be told.",
		examples: []string{"status"},
		run: func(ctx context.Context, s *session, _ []string) error {
			s.anonymous()
			answer, err := s.get(ctx, "sys/seal-status", nil)
			if failed, ok := errors.AsType[*failure](err); ok {
				failed.code = ExitLocal
			}
			if err != nil {
				return err
			}
			return s.output.sealStatus(answer)
		},
	}
}

// sealStatus prints the state and fails if the server is sealed.
func (o *output) sealStatus(a *answer) error {
	sealed, err := o.showSeal(a)
	if err == nil && sealed {
		err = &failure{err: errors.New("the server is sealed"), hint: "unseal it before use: operator unseal", code: ExitServer}
	}
	return err
}

// showSeal prints the state and returns whether the server is sealed.
func (o *output) showSeal(a *answer) (sealed bool, err error) {
	if a.secret == nil {
		return false, fmt.Errorf("the answer holds no seal status")
	}
	sealed, known := a.secret.Data["sealed"].(bool)
	if !known {
		return false, fmt.Errorf("the answer does not tell whether the server is sealed")
	}
	return sealed, o.labelled(a, statusLabels())
}

func statusLabels() []label {
	return []label{
		{"type", "Seal Type"},
		{"initialized", "Initialized"},
		{"sealed", "Sealed"},
		{"n", "Total Shares"},
		{"t", "Threshold"},
		{"progress", "Unseal Progress"},
		{"version", "Version"},
		{"build_date", "Build Date"},
		{"storage_type", "Storage Type"},
		{"cluster_name", "Cluster Name"},
		{"cluster_id", "Cluster ID"},
	}
}
