package admin

import (
	"fmt"
	"time"
)

// Until tells the time from now to at in the two units that matter: "4m 30s",
// or "2d 3h ago".
func Until(at, now time.Time) string {
	d := at.Sub(now).Round(time.Second)
	text := span(d.Abs())
	if d < 0 {
		text += " ago"
	}
	return text
}

func span(d time.Duration) string {
	units := []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	for i, unit := range units {
		if d < unit.size {
			continue
		}
		text := fmt.Sprintf("%d%s", d/unit.size, unit.name)
		if i+1 < len(units) {
			if rest := (d % unit.size) / units[i+1].size; rest > 0 {
				text += fmt.Sprintf(" %d%s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0s"
}

// Left returns how much of a grant is left, from 100 down to 0; 0 for one that
// does not end.
func (g Grant) Left(now time.Time) int {
	whole := g.Ends.Sub(g.Granted)
	if whole <= 0 {
		return 0
	}
	return int(min(max(100*g.Ends.Sub(now)/whole, 0), 100))
}

// Text tells what happens next, and when: "renew in 30s", "rotate now", "none".
func (n Next) Text(now time.Time) string {
	switch {
	case n.Busy, !n.At.IsZero() && !n.At.After(now):
		return n.Action + " now"
	case n.At.IsZero():
		return n.Action
	default:
		return n.Action + " in " + Until(n.At, now)
	}
}
