package schedule

import "time"

const (
	// rotationDelay is how long after a rotation that the server has announced
	// its result is read.
	rotationDelay = time.Second
	// rotationFloor is the shortest delay between two reads of a secret whose
	// rotation is overdue.
	rotationFloor = 5 * time.Second
)

// replace is the rule for what ends by itself, with nothing to renew: one
// successor when RenewAt of its life has passed, and before its end whatever
// RenewAt says. A newer token changes nothing for it.
func (p Policy) replace(f Facts) (Action, time.Time) {
	at := earliest(f.Granted.Add(p.vary(fraction(f.TTL, p.RenewAt), f.Seed)), f.Granted.Add(f.TTL-p.lead(f.TTL)))
	return Rotate, latest(p.inWindow(f, at), f.Granted.Add(p.Floor), p.retryAt(f, Rotate))
}

// reread is the rule for what is only read: again after the interval, and when
// the server has replaced it, if it says when that is.
func (p Policy) reread(f Facts) (Action, time.Time) {
	at := f.Granted.Add(p.vary(p.Static, f.Seed))
	if f.Rotates {
		rotated := f.Granted.Add(max(f.TTL+rotationDelay, rotationFloor))
		if at = earliest(at, rotated); p.Static < 0 {
			at = rotated
		}
	} else if p.Static < 0 {
		return None, time.Time{}
	} else if p.Windows != nil {
		at = p.Windows.Next(at) // a change that is not seen is none that the app must take now
	}
	return Reread, latest(at, p.retryAt(f, Reread))
}

// Merge returns the policy for something that has two users: whoever wants it
// fresher decides, or alive for longer; of two windows the first counts. Both
// have their defaults filled in.
func (p Policy) Merge(other Policy) Policy {
	p.RenewAt = min(p.RenewAt, other.RenewAt)
	p.Overlap = max(p.Overlap, other.Overlap)
	if p.Static < 0 || (other.Static >= 0 && other.Static < p.Static) {
		p.Static = other.Static
	}
	if p.Windows == nil {
		p.Windows = other.Windows
	}
	return p
}
