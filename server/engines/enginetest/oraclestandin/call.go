package oraclestandin

import (
	"errors"
	"io"
	"net"
	"strings"
)

// Functions a client may call.
const (
	functionFetch   = 0x05
	functionLogoff  = 0x09
	functionCommit  = 0x0E
	functionRevert  = 0x0F
	functionVersion = 0x3B
	functionExecute = 0x5E
	functionClose   = 0x69 // of cursors, ahead of another function
	functionPing    = 0x93
)

// What functionExecute is to do.
const (
	optionParse   = 0x01
	optionExecute = 0x20
)

const (
	banner        = "Oracle Database 12c (stand-in) Release 12.1.0.2.0 - 64bit Production"
	bannerVersion = 12<<24 | 1<<20 | 2<<8

	// capability is the version of TTC: 7 is that of Oracle 12.1.
	capability = 7
)

// conversation is a client's, from its first packet to its last.
type conversation struct {
	wire
	session *session
	cursors map[int][][]any // cursor → rows not yet sent
	last    int             // cursor
}

// serve talks to a client until it leaves, or says what no client should.
func serve(conn net.Conn, d *database) {
	c := &conversation{wire: wire{conn}, cursors: map[int][][]any{}}
	if c.accept() != nil || c.negotiate() != nil || c.login(d) != nil {
		return
	}
	defer d.leave(c.session)
	for {
		request, err := c.readMessage()
		if err != nil || c.answer(&reader{rest: request}) != nil {
			return
		}
	}
}

// negotiate agrees on the protocol and on the types.
func (c *conversation) negotiate() error {
	request, err := c.readMessage()
	if err != nil {
		return err
	}
	r := &reader{rest: request}
	r.expect(messageProtocol, 6, 0)
	if r.err != nil {
		return r.err
	}
	if err := c.writeMessage(protocolAnswer()); err != nil {
		return err
	}
	request, err = c.readMessage()
	if err != nil {
		return err
	}
	r = &reader{rest: request}
	r.expect(messageTypes, charset&0xFF, charset>>8, charset&0xFF, charset>>8)
	if r.err != nil {
		return r.err
	}
	// The time zone of the database is UTC; all types are sent as they are.
	return c.writeMessage([]byte{messageTypes, 128, 0, 0, 0, 60, 60, 60, 128, 0, 0, 0, 0})
}

func protocolAnswer() []byte {
	m := &message{}
	m.byte(messageProtocol, 6, 0)
	m.WriteString("x86_64/Linux 2.4.xx\x00")
	m.byte(charset&0xFF, charset>>8, 0, 0, 0)
	m.byte(0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, nationalCharset>>8, nationalCharset&0xFF)
	compiled := make([]byte, 38)
	compiled[4] = 32 // passwords travel under a key that PBKDF2 makes
	compiled[7] = capability
	m.byte(byte(len(compiled)))
	m.byte(compiled...)
	m.byte(7, 2, 1, 0, 0, 0, 0, 0)
	return m.Bytes()
}

// login lets a client in, or tells it why not.
func (c *conversation) login(d *database) error {
	request, err := c.readMessage()
	if err != nil {
		return err
	}
	sent, answer, err := d.challenge(&reader{rest: request})
	if err != nil {
		return err
	}
	if err := c.writeMessage(answer.Bytes()); err != nil {
		return err
	}
	if request, err = c.readMessage(); err != nil {
		return err
	}
	session, answer, err := d.login(&reader{rest: request}, sent, func() { _ = c.conn.Close() })
	if err != nil {
		return errors.Join(err, c.refuse(err))
	}
	c.session = session
	if err := c.writeMessage(answer.Bytes()); err != nil {
		d.leave(session)
		return err
	}
	return nil
}

// refuse sends the error of a call. One that is no error of Oracle's is a break
// of the protocol, about which there is nothing to say.
func (c *conversation) refuse(err error) error {
	code := codeOf(err)
	if code == 0 {
		return err
	}
	m := &message{}
	m.end(code, err.Error()+"\n", 0, 0)
	return c.writeMessage(m.Bytes())
}

// answer serves one call. An error ends the conversation.
func (c *conversation) answer(r *reader) error {
	for r.err == nil && len(r.rest) > 0 && r.rest[0] == messagePiggyback {
		r.expect(messagePiggyback, functionClose, 0, 1, 1, 1)
		delete(c.cursors, r.integer())
	}
	r.expect(messageFunction)
	function := r.byte()
	r.expect(0)
	if r.err != nil {
		return r.err
	}
	switch function {
	case functionExecute:
		return c.execute(r)
	case functionFetch:
		return c.fetch(r)
	case functionVersion:
		m := &message{}
		m.byte(messageReturn)
		m.counted(banner)
		m.integers(bannerVersion)
		m.byte(messageStatus)
		return c.writeMessage(m.Bytes())
	case functionPing, functionCommit, functionRevert, functionLogoff:
		if function != functionLogoff && c.killed() {
			return errors.Join(c.refuse(refuse(28, "your session has been killed")), io.EOF)
		}
		return errors.Join(r.end(), c.writeMessage([]byte{messageStatus}))
	}
	return c.refuse(refuse(3115, "unsupported network datatype or representation"))
}

func (c *conversation) killed() bool {
	c.session.database.mu.Lock()
	defer c.session.database.mu.Unlock()
	return c.session.killed
}

// execute runs a statement and sends what came of it, with the first rows.
func (c *conversation) execute(r *reader) error {
	call, err := readExecute(r)
	if err != nil {
		return errors.Join(c.refuse(err), err)
	}
	found, err := c.session.execute(call.text, call.binds)
	switch {
	case codeOf(err) == 28:
		return errors.Join(c.refuse(err), io.EOF)
	case err != nil:
		return c.refuse(err)
	}
	m := &message{}
	if found.columns == nil {
		m.end(0, "", found.affected, 0)
		return c.writeMessage(m.Bytes())
	}
	c.last++
	c.cursors[c.last] = found.rows
	m.describe(found.columns)
	c.send(m, c.last, call.rows)
	return c.writeMessage(m.Bytes())
}

// send appends the next rows of a cursor.
func (c *conversation) send(m *message, cursor, most int) {
	rows := c.cursors[cursor]
	size := min(len(rows), most)
	if size > 0 {
		m.byte(messageRowHeader, 0)
		m.integers(len(rows[0]), 0, size, 0, 0, 0)
	}
	for _, row := range rows[:size] {
		m.byte(messageRow)
		for _, value := range row {
			m.value(value)
		}
	}
	c.cursors[cursor] = rows[size:]
	if len(rows) > size {
		m.end(0, "", size, cursor)
		return
	}
	m.end(noMoreRows, "ORA-01403: no data found\n", size, cursor)
}

func (c *conversation) fetch(r *reader) error {
	cursor, most := r.integer(), r.integer()
	if err := r.end(); err != nil {
		return err
	}
	if _, open := c.cursors[cursor]; !open {
		return c.refuse(refuse(1001, "invalid cursor"))
	}
	m := &message{}
	c.send(m, cursor, most)
	return c.writeMessage(m.Bytes())
}

// describe appends the columns of a query.
func (m *message) describe(columns []resultColumn) {
	m.byte(messageDescribe, 0)
	m.integers(0, len(columns))
	m.byte(0)
	for _, each := range columns {
		m.byte(each.kind, 0, 0, 0)
		switch each.kind {
		case kindText:
			m.integers(4000, 0, 0, 0, 0, charset)
			m.byte(1)
			m.integers(4000)
		default:
			m.integers(22, 0, 0, 0, 0, 0)
			m.byte(0)
			m.integers(0)
		}
		m.byte(1, byte(len(each.name)))
		m.counted(each.name)
		m.integers(0, 0, 0, 0) // schema, type, position, flags
	}
	m.integers(0, 0, 0, 0, 0, 0)
}

// executeCall is what a client wants to be executed.
type executeCall struct {
	text  string
	rows  int // to send at once
	binds []string
}

// readExecute reads a call that parses and executes a statement. The pointers
// in it tell which parts follow.
func readExecute(r *reader) (executeCall, error) {
	options, cursor := r.integer(), r.integer()
	if options&(optionParse|optionExecute) != optionParse|optionExecute || cursor != 0 {
		return executeCall{}, refuse(3115, "unsupported network datatype or representation")
	}
	r.expect(1)
	length := r.integer()
	r.expect(1)
	r.expect(1, 13, 0, 0) // thirteen numbers will follow
	r.expect(0)
	call := executeCall{rows: r.integer()}
	r.integer() // the largest long value
	binding := r.byte() == 1
	binds := r.integer()
	r.expect(0, 0, 0, 0, 0)
	r.expect(0, 0)    // nothing is defined
	r.expect(0, 0, 1) // since TTC 4
	r.expect(0, 0, 0, 0, 0)
	r.expect(0, 0, 0)
	call.text = string(r.text())
	r.skip(13)
	if r.err == nil && (len(call.text) != length || binding != (binds > 0)) {
		r.err = errMalformed
	}
	call.text = strings.TrimSpace(call.text)
	err := call.readBinds(r, binds)
	return call, errors.Join(err, r.end())
}

// readBinds reads texts, the only kind of value known here.
func (call *executeCall) readBinds(r *reader, count int) error {
	for i := 0; i < count && r.err == nil; i++ {
		kind := r.byte()
		r.bytes(3)
		r.skip(3)
		r.expect(0) // no type of somebody's own
		r.skip(2)
		r.byte()
		r.integer()
		if r.err == nil && kind != kindText {
			return refuse(3115, "unsupported network datatype or representation")
		}
	}
	if count > 0 {
		r.expect(messageRow)
	}
	for i := 0; i < count && r.err == nil; i++ {
		call.binds = append(call.binds, string(r.text()))
	}
	return nil
}
