package oraclestandin

// session is a logged in client.
type session struct {
	database *database
	sid      int
	serial   int
	user     string
	program  string
	end      func() // closes the connection
	killed   bool   // guarded by database.mu
}

// result is what a statement gives.
type result struct {
	columns  []resultColumn // none: not a query
	rows     [][]any        // nil, string, int64 or time.Time
	affected int
}

type resultColumn struct {
	name string
	kind byte // of TTC
}

// execute runs one statement with the values of its bind variables, in the order
// in which they appear.
func (s *session) execute(text string, binds []string) (result, error) {
	s.database.mu.Lock()
	defer s.database.mu.Unlock()
	if s.killed {
		return result{}, refuse(28, "your session has been killed")
	}
	return s.run(text, binds)
}

// run is execute for those who hold the lock.
func (s *session) run(text string, binds []string) (result, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return result{}, err
	}
	p := &parser{session: s, tokens: tokens, binds: binds}
	if p.isWord("BEGIN") {
		return result{}, p.block()
	}
	for _, t := range tokens {
		if t.is(symbol, ";") {
			return result{}, refuse(911, "invalid character")
		}
	}
	return p.statement()
}

// statement reads and runs plain SQL.
func (p *parser) statement() (result, error) {
	commands := []struct {
		words []string
		run   func() (result, error)
	}{
		{[]string{"SELECT"}, p.selectRows},
		{[]string{"INSERT", "INTO"}, p.insert},
		{[]string{"CREATE", "USER"}, command(p.createUser)},
		{[]string{"CREATE", "ROLE"}, command(p.createRole)},
		{[]string{"CREATE", "TABLE"}, command(p.createTable)},
		{[]string{"ALTER", "USER"}, command(p.alterUser)},
		{[]string{"ALTER", "SYSTEM"}, command(p.alterSystem)},
		{[]string{"DROP", "USER"}, command(p.dropUser)},
		{[]string{"DROP", "TABLE"}, command(p.dropTable)},
		{[]string{"GRANT"}, command(p.grant)},
		{[]string{"REVOKE"}, command(p.revoke)},
	}
	for _, known := range commands {
		if p.words(known.words...) {
			return known.run()
		}
	}
	return result{}, refuse(900, "invalid SQL statement")
}

// command is a statement without a result.
func command(run func() error) func() (result, error) {
	return func() (result, error) { return result{}, run() }
}
