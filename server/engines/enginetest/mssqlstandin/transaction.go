package mssqlstandin

import (
	"context"
	"errors"
)

// errInterrupted ends a statement whose client has lost interest.
var errInterrupted = errors.New("interrupted")

// deadlock always ends the transaction it happens in.
const deadlock = 1205

// execution is one run of a statement.
type execution struct {
	session    *session
	answer     *answer
	parameters map[string]any // by name, with @
	statements int            // of the batch
	affected   int            // rows; -1: it is not about rows
}

// catalog returns what the session sees: its own changes, and what others have
// committed.
func (in *execution) catalog() *catalog {
	if in.session.draft != nil {
		return in.session.draft
	}
	return in.session.server.current()
}

func (in *execution) database() *database { return in.catalog().databases[key(in.session.database)] }

// inMaster refuses what Azure SQL Database does in master alone.
func (in *execution) inMaster() error {
	if in.session.server.azure && in.session.database != "master" {
		return refuse(5001, "User must be in the master database.")
	}
	return nil
}

// change changes the catalog, in the session's transaction or in one of its own.
// Like SQL Server's locks, it waits for the transactions of others.
func (in *execution) change(ctx context.Context, apply func(to *catalog) error) error {
	s := in.session
	if s.draft == nil {
		select {
		case s.server.writer <- struct{}{}:
			s.draft = s.server.current()
		case <-ctx.Done():
			return errInterrupted
		}
	}
	next := s.draft.clone()
	err := apply(next)
	if err == nil {
		s.draft = next
	}
	if s.depth == 0 {
		s.release(err == nil)
	}
	return err
}

// release publishes the session's changes, or forgets them.
func (s *session) release(publish bool) {
	if s.draft == nil {
		return
	}
	if publish {
		s.server.mu.Lock()
		s.server.committed = s.draft
		s.server.mu.Unlock()
	}
	s.draft = nil
	<-s.server.writer
}

func (s *Server) current() *catalog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed
}

type begin struct{}

func (begin) run(_ context.Context, in *execution) error {
	s := in.session
	if s.depth++; s.depth == 1 {
		s.transaction++
		in.answer.changeTransaction(changeBegin, s.transactionID())
	}
	return nil
}

type commit struct{}

func (commit) run(_ context.Context, in *execution) error {
	s := in.session
	if s.depth == 0 {
		return refuse(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
	}
	if s.depth--; s.depth == 0 {
		s.release(true)
		in.answer.changeTransaction(changeCommit, s.transactionID())
	}
	return nil
}

type rollback struct{}

func (rollback) run(_ context.Context, in *execution) error {
	if in.session.depth == 0 {
		return refuse(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
	}
	in.session.rollBack(in.answer)
	return nil
}

// rollBack undoes the session's transaction, if it is in one.
func (s *session) rollBack(told *answer) {
	s.release(false)
	if s.depth > 0 {
		s.depth = 0
		told.changeTransaction(changeRollback, s.transactionID())
	}
}

// transactionID tells transactions of all sessions apart.
func (s *session) transactionID() uint64 { return uint64(s.id)<<32 | s.transaction }

// checkTransaction refuses a request of a client that believes to be in another
// transaction, or in one that is over.
func (s *session) checkTransaction(claimed uint64) error {
	if s.depth == 0 && claimed == 0 || s.depth > 0 && claimed == s.transactionID() {
		return nil
	}
	return refuse(3971, "The server failed to resume the transaction. Desc:%x.", claimed)
}

// setAbort decides whether an error ends the whole transaction.
type setAbort struct{ on bool }

func (a setAbort) run(_ context.Context, in *execution) error {
	in.session.abort = a.on
	return nil
}

// nothing is a statement without consequences here.
type nothing struct{}

func (nothing) run(context.Context, *execution) error { return nil }
