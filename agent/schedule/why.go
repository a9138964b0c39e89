package schedule

import (
	"fmt"
	"math"
)

// Why says in a few words what makes action the next one of a grant with
// these facts. The action is what [Policy.Next] returned for them.
func (p Policy) Why(f Facts, action Action) string {
	switch {
	case action == None && f.Held && !f.Leased:
		return "it does not end"
	case action == None:
		return ""
	case f.Failed == action:
		return fmt.Sprintf("trying again, %s failed %s", action, times(f.Failures))
	case action == Issue:
		return "nothing is held yet"
	case f.Expires:
		return fmt.Sprintf("%.0f %% of its life will have passed", p.share(f))
	case action == Reread && f.Rotates:
		return "the server rotates it"
	case action == Reread:
		return "looking for a change every " + p.Static.String()
	case f.Gone:
		return "the server no longer knows it"
	case !f.StaleSince.IsZero():
		return "the token that issued it was replaced"
	case action == Rotate && p.early(f):
		return "a rotation window opens"
	case action == Renew && !f.AdoptedAt.IsZero():
		return "finding out whether it outlived the restart"
	case action == Renew:
		return fmt.Sprintf("%.0f %% of its time will have passed", p.share(f))
	case !f.Renewable:
		return "it cannot be renewed"
	default:
		return "its max TTL is near"
	}
}

// share returns how much of a grant has passed when it is renewed, in percent.
func (p Policy) share(f Facts) float64 {
	_, at := p.Next(f)
	if f.TTL <= 0 {
		return 0
	}
	return math.Min(100*float64(at.Sub(f.Granted))/float64(f.TTL), 100)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
