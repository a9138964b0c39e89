package postgresql

// FenceLock is the number of the lock that writes share.
func (s *Store) FenceLock() int64 { return s.fenceLock }
