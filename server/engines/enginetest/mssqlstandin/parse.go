package mssqlstandin

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// statement is a parsed statement.
type statement interface {
	// run does what the statement says, or returns a refusal.
	run(ctx context.Context, in *execution) error
}

// alone is a statement that must be the first of its batch.
type alone interface{ soleName() string }

// parser reads statements word by word.
type parser struct {
	words []word
}

// parse reads a batch. Nothing of a batch with a syntax error is run.
func parse(text string) ([]statement, error) {
	words, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := &parser{words}
	var all []statement
	for {
		for p.acceptSymbol(";") {
		}
		if p.words[0].speech == speechEnd {
			return all, nil
		}
		next, err := p.statement(len(all) == 0)
		if err != nil {
			return nil, err
		}
		if sole, ok := next.(alone); ok && len(all) > 0 {
			return nil, refuse(111, "'%s' must be the first statement in a query batch.", sole.soleName())
		}
		all = append(all, next)
	}
}

// near returns the error about the next word.
func (p *parser) near() error { return refuse(102, "Incorrect syntax near '%s'.", p.words[0].text) }

func (p *parser) advance() word {
	next := p.words[0]
	if next.speech != speechEnd {
		p.words = p.words[1:]
	}
	return next
}

// accept takes a keyword if it is next.
func (p *parser) accept(keyword string) bool {
	if next := p.words[0]; next.speech != speechWord || !strings.EqualFold(next.text, keyword) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) acceptSymbol(symbol string) bool {
	if p.words[0] != (word{speechSymbol, symbol}) {
		return false
	}
	p.advance()
	return true
}

// expect takes several keywords or symbols, all of which have to be next.
func (p *parser) expect(all ...string) error {
	for _, next := range all {
		if !p.accept(next) && !p.acceptSymbol(next) {
			return p.near()
		}
	}
	return nil
}

// reserved are words that are no names unless they are quoted.
var reserved = strings.Fields("ADD ALTER AND AUTHORIZATION BEGIN BY COMMIT CREATE DATABASE DELETE DENY DROP EXEC EXECUTE EXISTS FOR FROM GRANT IF IN INSERT INTO IS KILL NOT NULL ON OR REVOKE ROLLBACK SCHEMA SELECT SET TABLE TO TRANSACTION UNION UPDATE USE USER VALUES WAITFOR WHERE WITH")

// name takes a name.
func (p *parser) name() (string, error) {
	next := p.words[0]
	switch {
	case next.speech == speechWord && slices.Contains(reserved, strings.ToUpper(next.text)):
		return "", refuse(156, "Incorrect syntax near the keyword '%s'.", next.text)
	case next.speech != speechName && next.speech != speechWord || next.text == "":
		return "", p.near()
	}
	return p.advance().text, nil
}

// path takes a name with others before it: schema.table.
func (p *parser) path() ([]string, error) {
	var all []string
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		all = append(all, name)
		if !p.acceptSymbol(".") {
			return all, nil
		}
	}
}

// text takes a literal.
func (p *parser) text() (string, error) {
	if p.words[0].speech != speechText {
		return "", p.near()
	}
	return p.advance().text, nil
}

func (p *parser) number() (int, error) {
	if p.words[0].speech != speechNumber {
		return 0, p.near()
	}
	n, err := strconv.Atoi(p.words[0].text)
	if err != nil {
		return 0, p.near()
	}
	p.advance()
	return n, nil
}

// onOff takes ON or OFF.
func (p *parser) onOff() (bool, error) {
	if p.accept("ON") {
		return true, nil
	}
	return false, p.expect("OFF")
}

// list takes at least one of something, with commas between.
func list[T any](p *parser, one func() (T, error)) ([]T, error) {
	var all []T
	for {
		next, err := one()
		if err != nil {
			return nil, err
		}
		all = append(all, next)
		if !p.acceptSymbol(",") {
			return all, nil
		}
	}
}

// statement takes one. A procedure may be called without EXEC where a batch
// begins.
func (p *parser) statement(first bool) (statement, error) {
	if p.words[0].speech != speechWord {
		return nil, p.near()
	}
	switch keyword := strings.ToUpper(p.words[0].text); keyword {
	case "CREATE", "ALTER", "DROP":
		return p.definition(keyword)
	case "GRANT", "REVOKE":
		p.advance()
		return p.grant(keyword == "REVOKE")
	case "EXEC", "EXECUTE":
		p.advance()
		return p.call()
	case "SELECT", "INSERT", "DELETE", "IF":
		return p.data(keyword)
	case "SET", "USE", "BEGIN", "COMMIT", "ROLLBACK", "KILL", "WAITFOR", "RECONFIGURE":
		return p.control(keyword)
	default:
		if first && strings.HasPrefix(keyword, "SP_") {
			return p.call()
		}
		return nil, p.near()
	}
}

// control takes a statement about the session.
func (p *parser) control(keyword string) (statement, error) {
	p.advance()
	switch keyword {
	case "SET":
		return p.setting()
	case "USE":
		name, err := p.name()
		return use{name}, err
	case "KILL":
		id, err := p.number()
		return kill{id}, err
	case "WAITFOR":
		if err := p.expect("DELAY"); err != nil {
			return nil, err
		}
		return p.delay()
	case "RECONFIGURE":
		return reconfigure{}, nil
	}
	if !p.accept("TRAN") && !p.accept("TRANSACTION") && keyword == "BEGIN" {
		return nil, p.near()
	}
	return map[string]statement{"BEGIN": begin{}, "COMMIT": commit{}, "ROLLBACK": rollback{}}[keyword], nil
}

func (p *parser) setting() (statement, error) {
	abort := p.accept("XACT_ABORT")
	if !abort && !p.accept("NOCOUNT") {
		return nil, p.near()
	}
	on, err := p.onOff()
	if err != nil || !abort {
		return nothing{}, err
	}
	return setAbort{on}, nil
}
