package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// movePoll is between two questions of how far a move is.
const movePoll = 200 * time.Millisecond

func (m mounts) move() command {
	return command{
		usage:    "[options] OLD NEW",
		synopsis: fmt.Sprintf("Move %s to another path", article(m.noun)),
		about: fmt.Sprintf("Moves the %s at OLD to NEW with its configuration. What it has given out\n"+
			"is revoked, and policies still name the old path.", m.noun),
		examples: []string{fmt.Sprintf("%s move %s/ team-a/%s/", m.word, m.kind, m.kind)},
		minArgs:  2,
		maxArgs:  2,
		run: func(ctx context.Context, s *session, args []string) error {
			from, err := cleanPath(args[0])
			if err != nil {
				return err
			}
			to, err := cleanPath(args[1])
			if err != nil {
				return err
			}
			answer, err := s.put(ctx, "sys/remount", body{"from": m.below(from), "to": m.below(to)})
			if err == nil {
				answer, err = s.awaitMove(ctx, answer)
			}
			switch {
			case err != nil:
				return err
			case !s.output.forHumans():
				return s.output.outcome(answer, "")
			}
			s.output.message("Success! Moved the %s from %s/ to: %s/", m.noun, from, to)
			return nil
		},
	}
}

// below is a path as sys/remount wants it: that of an auth method begins with
// auth/.
func (m mounts) below(path string) string {
	if m.word == "auth" && !strings.HasPrefix(path, "auth/") {
		path = "auth/" + path
	}
	return path + "/"
}

// awaitMove asks until a move that has begun is over, and returns what the
// server says then. A server that gives the move no name is done with it.
func (s *session) awaitMove(ctx context.Context, begun *answer) (*answer, error) {
	if begun.empty() {
		return begun, nil
	}
	id, _ := begun.secret.Data["migration_id"].(string)
	if id == "" {
		return begun, nil
	}
	for {
		now, err := s.get(ctx, "sys/remount/status/"+id, nil)
		if err != nil {
			return nil, err
		}
		var state struct {
			Data struct {
				Info struct {
					Status string `json:"status"`
				} `json:"migration_info"`
			} `json:"data"`
		}
		if err := now.into(&state); err != nil {
			return nil, err
		}
		switch state.Data.Info.Status {
		case "success":
			return now, nil
		case "in-progress":
		default:
			return nil, &failure{err: fmt.Errorf("the move %s ended with %q", id, state.Data.Info.Status), hint: "look into the server's log", code: ExitServer}
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("the move goes on; nobody waits for it any more")
		case <-time.After(movePoll):
		}
	}
}
