package lease

// Events are told what becomes of leases. Its methods must not block: a lock is
// held.
type Events interface {
	// Renewed tells of an attempt to renew a lease; err is nil when it is.
	Renewed(id string, err error)
	// Ended tells of an attempt to end a lease of a group, because its time had
	// come or before; err is nil when its credential is gone.
	Ended(in Group, expired bool, err error)
}

// unheard are the events of a manager whose owner does not listen.
type unheard struct{}

func (unheard) Renewed(string, error) {}

func (unheard) Ended(Group, bool, error) {}
