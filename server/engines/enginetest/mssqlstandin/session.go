package mssqlstandin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// firstSessionID is that of the first user; the server keeps the lower ones.
const firstSessionID = 51

// session is a client that is logged in.
type session struct {
	server         *Server
	id             int
	login, sid     string // a contained user has no sid
	contained      string // the database whose user it is; empty for a login
	program, host  string
	home, database string // where it is after a reset, and now
	stop           context.CancelFunc
	conn           net.Conn
	abort          bool // SET XACT_ABORT
	depth          int  // of BEGIN TRANSACTION
	transaction    uint64
	draft          *catalog // what its transaction has changed; holds the server's writer
	unsent         answer   // of a request that was interrupted

	mu        sync.Mutex
	interrupt context.CancelFunc // of the request under way
}

// serve takes a client from its first byte to its last.
func (s *Server) serve(conn net.Conn) {
	secured, err := s.negotiate(conn)
	if err != nil {
		return
	}
	asked, err := readMessage(secured.login)
	if err != nil || asked.kind != kindLogin {
		return
	}
	var told answer
	given, err := decodeLogin(asked.body)
	if err == nil {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var session *session
		if session, err = s.admit(given, conn, stop); err == nil {
			defer s.dismiss(session)
			session.welcome(&told, given.version)
			if writeMessage(secured.rest, kindResponse, session.id, told.tokens) == nil {
				session.serve(ctx, secured.rest)
			}
			return
		}
	}
	told.fail(err)
	told.end(doneError, 0)
	_ = writeMessage(secured.rest, kindResponse, 0, told.tokens)
}

// admit makes a session of a login that is right.
func (s *Server) admit(given login, conn net.Conn, stop context.CancelFunc) (*session, error) {
	admitted, err := s.authenticate(given)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	admitted.id, admitted.conn, admitted.stop = s.nextID, conn, stop
	s.nextID++
	s.sessions[admitted.id] = admitted
	return admitted, nil
}

// dismiss forgets a session and undoes its transaction.
func (s *Server) dismiss(session *session) {
	session.release(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session.id)
}

func (s *session) welcome(told *answer, version uint32) {
	told.changeText(changeDatabase, s.database, "master")
	told.loginAck(version)
	told.changeText(changePacketSize, fmt.Sprint(packetSize), fmt.Sprint(packetSize))
	told.end(0, 0)
}

// serve answers requests until the client goes or is sent away.
func (s *session) serve(ctx context.Context, conn net.Conn) {
	messages := make(chan message)
	go s.receive(ctx, conn, messages)
	for {
		select {
		case asked, ok := <-messages:
			if !ok {
				return
			}
			told, err := s.answer(ctx, asked)
			if err != nil {
				return
			}
			if told != nil && writeMessage(conn, kindResponse, s.id, told) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// receive reads what the client sends, also while a request is under way: it may
// be an attention, which interrupts it.
func (s *session) receive(ctx context.Context, conn net.Conn, into chan<- message) {
	defer close(into)
	defer s.stop()
	for {
		next, err := readMessage(conn)
		if err != nil {
			return
		}
		if next.kind == kindAttention {
			s.mu.Lock()
			if s.interrupt != nil {
				s.interrupt()
			}
			s.mu.Unlock()
		}
		select {
		case into <- next:
		case <-ctx.Done():
			return
		}
	}
}

// answer returns the response to a message, nil for none, or an error if the
// client does not speak TDS.
func (s *session) answer(ctx context.Context, asked message) ([]byte, error) {
	if asked.kind == kindAttention {
		told := s.unsent
		s.unsent = answer{}
		told.done(tokenDone, doneAttention, 0)
		return told.tokens, nil
	}
	if asked.status&statusIgnore != 0 {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.interrupt = cancel
	s.mu.Unlock()
	told := &answer{}
	if asked.status&(statusReset|statusResetSkip) != 0 {
		s.reset(told)
	}
	err := s.request(ctx, told, asked)
	if errors.Is(err, errInterrupted) {
		if s.abort {
			s.rollBack(told)
		}
		s.unsent = *told
		return nil, nil
	}
	return told.tokens, err
}

// reset makes the session as good as new, for whoever gets it from a pool next.
func (s *session) reset(told *answer) {
	s.rollBack(told)
	s.abort = false
	s.move(told, s.home)
	told.changeText(changeReset, "", "")
}

// move changes the session's database.
func (s *session) move(told *answer, to string) {
	s.server.mu.Lock()
	last := s.database
	s.database = to
	s.server.mu.Unlock()
	if last != to {
		told.changeText(changeDatabase, to, last)
	}
}

// request answers an SQLBatch, an RPC or a request to the transaction manager.
func (s *session) request(ctx context.Context, told *answer, asked message) error {
	switch asked.kind {
	case kindBatch:
		transaction, text, err := decodeBatch(asked.body)
		if err != nil {
			return err
		}
		_, err = s.batch(ctx, told, transaction, text, nil)
		return err
	case kindRPC:
		transaction, called, err := decodeProcedure(asked.body)
		if err != nil {
			return err
		}
		return s.procedure(ctx, told, transaction, called)
	case kindTransaction:
		transaction, request, err := decodeTransaction(asked.body)
		if err != nil {
			return err
		}
		return s.transactionRequest(ctx, told, transaction, request)
	}
	return fmt.Errorf("a message of type %#x", asked.kind)
}

func (s *session) transactionRequest(ctx context.Context, told *answer, claimed uint64, request uint16) error {
	asked := map[uint16]statement{requestBegin: begin{}, requestCommit: commit{}, requestRollback: rollback{}}[request]
	err := s.checkTransaction(claimed)
	if err == nil {
		err = asked.run(ctx, &execution{session: s, answer: told})
	}
	status := 0
	if err != nil {
		told.fail(err)
		status = doneError
	}
	told.end(status, 0)
	return nil
}

// batch parses a text and runs its statements. It returns an error only if it
// was interrupted.
func (s *session) batch(ctx context.Context, told *answer, claimed uint64, text string, parameters map[string]any) (failed bool, err error) {
	planned := s.server.record(text)
	statements, err := parse(text)
	if err == nil {
		err = s.ready(claimed)
	}
	if err != nil || len(statements) == 0 {
		s.ended(told, err, -1, false)
		return err != nil, nil
	}
	for i, next := range statements {
		in := &execution{session: s, answer: told, parameters: parameters, statements: len(statements), affected: -1}
		if err, planned = planned, nil; err == nil {
			err = next.run(ctx, in)
		}
		if errors.Is(err, errInterrupted) {
			return true, err
		}
		fatal := err != nil && s.failed(told, err)
		s.ended(told, err, in.affected, !fatal && i+1 < len(statements))
		if failed = failed || err != nil; fatal {
			break
		}
	}
	return failed, nil
}

// ready returns why the session cannot run anything now, if so.
func (s *session) ready(claimed uint64) error {
	c := s.server.current()
	if s.draft != nil {
		c = s.draft
	}
	if home := c.databases[key(s.database)]; home == nil || s.userIn(c, home) == nil {
		return refusal{916, 1, 14, "The server principal \"" + s.login + "\" is not able to access the database \"" + s.database + "\" under the current security context."}
	}
	return s.checkTransaction(claimed)
}

// failed does what an error does to the transaction, and reports whether the
// batch ends.
func (s *session) failed(told *answer, err error) (fatal bool) {
	var reason refusal
	if s.abort || errors.As(err, &reason) && reason.number == deadlock {
		s.rollBack(told)
		return true
	}
	return false
}

// ended reports the end of a statement.
func (s *session) ended(told *answer, err error, rows int, more bool) {
	status := 0
	if err != nil {
		told.fail(err)
		status |= doneError
	}
	if rows >= 0 {
		status |= doneCount
	}
	if more || told.procedure {
		status |= doneMore
	}
	told.end(status, max(rows, 0))
}

// procedure runs one of those that take a text with parameters.
func (s *session) procedure(ctx context.Context, told *answer, claimed uint64, called procedure) error {
	told.procedure = true
	var outputs []parameter
	given := called.parameters
	if called.name == "sp_prepexec" && len(given) > 2 {
		outputs = []parameter{{name: given[0].name, value: int64(1)}}
		given[1], given[2] = given[2], given[1]
		given = given[1:]
	}
	text, parameters, err := bind(called.name, given)
	failed := true
	if err != nil {
		told.fail(err)
	} else if failed, err = s.batch(ctx, told, claimed, text, parameters); err != nil {
		return err
	}
	told.returned(failed, outputs)
	return nil
}

// bind returns the text and, by name, the values of its parameters: the first two
// parameters are the text and what it declares.
func bind(name string, given []parameter) (text string, values map[string]any, err error) {
	if name != "sp_executesql" && name != "sp_prepexec" {
		return "", nil, refuse(2812, "Could not find stored procedure '%s'.", name)
	}
	if len(given) == 0 {
		return "", nil, refuse(201, "Procedure or function '%s' expects parameter '@statement', which was not supplied.", name)
	}
	text, ok := given[0].value.(string)
	if !ok {
		return "", nil, refuse(214, "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'.")
	}
	values = map[string]any{}
	if len(given) < 2 {
		return text, values, nil
	}
	declarations, _ := given[1].value.(string)
	declared := strings.Split(declarations, ",")
	if strings.TrimSpace(declarations) == "" {
		declared = nil
	}
	if len(declared) != len(given)-2 {
		return "", nil, refuse(8144, "Procedure or function has too many arguments specified.")
	}
	for i, declaration := range declared {
		variable, _, _ := strings.Cut(strings.TrimSpace(declaration), " ")
		if passed := given[i+2].name; passed != "" && !strings.EqualFold(passed, variable) {
			return "", nil, refuse(8145, "%s is not a parameter for procedure %s.", passed, name)
		}
		values[strings.ToLower(variable)] = given[i+2].value
	}
	return text, values, nil
}

type use struct{ name string }

func (u use) run(_ context.Context, in *execution) error {
	if in.session.server.azure && key(u.name) != key(in.session.database) {
		return refuse(40508, "USE statement is not supported to switch between databases. Use a new connection to connect to a different database.")
	}
	found := in.catalog().databases[key(u.name)]
	if found == nil {
		return refuse(911, "Database '%s' does not exist. Make sure that the name is entered correctly.", u.name)
	}
	if in.session.userIn(in.catalog(), found) == nil {
		return refusal{916, 1, 14, "The server principal \"" + in.session.login + "\" is not able to access the database \"" + found.name + "\" under the current security context."}
	}
	in.session.move(in.answer, found.name)
	return nil
}

type kill struct{ id int }

func (k kill) run(_ context.Context, in *execution) error {
	own := in.session
	allowed := own.serverAllows(in.catalog(), "ALTER ANY CONNECTION")
	if own.server.azure {
		allowed = allowed || own.allows(in.catalog(), in.database(), "KILL DATABASE CONNECTION", securable{class: "DATABASE"})
	}
	own.server.mu.Lock()
	defer own.server.mu.Unlock()
	victim := own.server.sessions[k.id]
	switch {
	case !allowed:
		return refuse(6102, "User does not have permission to use the KILL statement.")
	case own.depth > 0:
		return refuse(6115, "KILL command cannot be used inside user transactions.")
	case victim == own:
		return refuse(6104, "Cannot use KILL to kill your own process.")
	case victim == nil, own.server.azure && victim.home != own.home:
		return refuse(6106, "Process ID %d is not an active process ID.", k.id)
	}
	victim.stop()
	_ = victim.conn.Close()
	return nil
}

// loggedIn reports whether a login has sessions.
func (s *Server) loggedIn(sid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.sessions {
		if session.sid == sid {
			return true
		}
	}
	return false
}

// inUse reports whether a session is in a database.
func (s *Server) inUse(database string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.sessions {
		if session.database == database {
			return true
		}
	}
	return false
}

// waitFor is WAITFOR DELAY.
type waitFor struct{ delay time.Duration }

// delay takes 'hh:mm:ss', with parts of a second or without.
func (p *parser) delay() (statement, error) {
	text, err := p.text()
	if err != nil {
		return nil, err
	}
	midnight, _ := time.Parse(time.TimeOnly, "00:00:00")
	moment, err := time.Parse(time.TimeOnly, text)
	if err != nil {
		return nil, refuse(148, "Incorrect time syntax in time string '%s' used with WAITFOR.", text)
	}
	return waitFor{moment.Sub(midnight)}, nil
}

func (w waitFor) run(ctx context.Context, _ *execution) error {
	select {
	case <-time.After(w.delay):
		return nil
	case <-ctx.Done():
		return errInterrupted
	}
}
