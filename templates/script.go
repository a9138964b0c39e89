package templates

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/novatech/securevault/internal/vault"
)

// script is a text after parsing.
type script struct {
	text      string           // with the counting of steps put in
	trees     []*parse.Tree    // the whole, named "", and the templates that it defines
	own       []string         // functions that it calls, of those of an evaluation
	functions template.FuncMap // that it calls besides
	wants     []vault.Want     // that an evaluation cannot do without
	wantsAll  bool             // there are no others to discover
}

func parseScript(text string, cfg Config) (*script, error) {
	trees, err := parseTrees(text, cfg)
	if err != nil {
		return nil, syntaxError(cfg.Name, err)
	}
	s := &script{text: text, trees: byName(trees), functions: template.FuncMap{}}
	requests, err := s.check(cfg)
	if err != nil {
		return nil, err
	}
	if root := trees[""]; root != nil {
		if err := s.findWants(root, cfg.Name); err != nil {
			return nil, err
		}
	}
	s.wantsAll = requests == len(s.wants)
	if s.text = instrument(text, cfg.leftDelim(), cfg.rightDelim(), trees); s.text != text {
		if trees, err = parseTrees(s.text, cfg); err != nil {
			return nil, syntaxError(cfg.Name, err)
		}
		s.trees, s.own = byName(trees), append(s.own, stepFunction, enterFunction)
	}
	return s, nil
}

// evaluate implements [body].
func (s *script) evaluate(e *evaluation) ([]byte, error) {
	missing := "missingkey=zero"
	if e.cfg.ErrOnMissingKey {
		missing = "missingkey=error"
	}
	root := template.New("").Option(missing).Funcs(s.functions)
	functions, called := e.functions(root), template.FuncMap{} // each of them costs reflection
	for _, name := range s.own {
		called[name] = functions[name]
	}
	root.Funcs(called)
	for _, tree := range s.trees {
		if _, err := root.AddParseTree(tree.Name, tree); err != nil {
			return nil, err
		}
	}
	out := &boundedBuffer{}
	if err := root.Execute(out, nil); err != nil {
		return nil, err
	}
	return out.buffer.Bytes(), nil
}

func parseTrees(text string, cfg Config) (map[string]*parse.Tree, error) {
	trees := map[string]*parse.Tree{}
	root := parse.New("")
	root.Mode = parse.SkipFuncCheck // check does it, with better words
	_, err := root.Parse(text, cfg.LeftDelim, cfg.RightDelim, trees)
	return trees, err
}

// byName returns the trees in the order of their names. Thousands of templates
// may be held, most of them of one tree: a map for each would show.
func byName(trees map[string]*parse.Tree) []*parse.Tree {
	out := make([]*parse.Tree, 0, len(trees))
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		out = append(out, trees[name])
	}
	return out
}

// check finds every function of the text, and counts the requests for secrets.
func (s *script) check(cfg Config) (requests int, err error) {
	seen := map[string]bool{}
	for _, tree := range s.trees {
		visit(tree.Root, func(node parse.Node) {
			name, ok := node.(*parse.IdentifierNode)
			if !ok {
				return
			}
			if isRequest(name.Ident) {
				requests++
			}
			if seen[name.Ident] {
				return
			}
			seen[name.Ident] = true
			function, refusal := findFunction(name.Ident, cfg.Denylist)
			if refusal != nil && err == nil {
				err = fmt.Errorf("%s:%d: %w", cfg.Name, lineOf(s.text, node), refusal)
			}
			switch {
			case function != nil:
				s.functions[name.Ident] = function
			case listed(ownFunctions, name.Ident):
				s.own = append(s.own, name.Ident)
			}
		})
	}
	return requests, err
}

func isRequest(function string) bool { return listed("pkiCert secret secrets", function) }

// findWants collects the wants that are plain to see: requests with literal
// arguments, outside of any condition.
func (s *script) findWants(tree *parse.Tree, name string) error {
	for _, node := range tree.Root.Nodes {
		for _, command := range certain(pipeOf(node)) {
			function, args, ok := literalCall(command)
			if !ok {
				continue
			}
			want, err := wantOf(function, args)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", name, lineOf(s.text, command), err)
			}
			s.wants = append(s.wants, want)
		}
	}
	return nil
}

// pipeOf returns what a node evaluates first, whatever happens next.
func pipeOf(node parse.Node) *parse.PipeNode {
	switch n := node.(type) {
	case *parse.ActionNode:
		return n.Pipe
	case *parse.IfNode:
		return n.Pipe
	case *parse.RangeNode:
		return n.Pipe
	case *parse.WithNode:
		return n.Pipe
	case *parse.TemplateNode:
		return n.Pipe
	default:
		return nil
	}
}

// certain returns the commands that a pipe evaluates in any case: all but the
// arguments of "and" and "or". A command that a value is piped into is left
// out, for it gets one more argument.
func certain(pipe *parse.PipeNode) []*parse.CommandNode {
	if pipe == nil {
		return nil
	}
	var out []*parse.CommandNode
	for i, command := range pipe.Cmds {
		if i == 0 {
			out = append(out, command)
		}
		if name, ok := command.Args[0].(*parse.IdentifierNode); ok && (name.Ident == "and" || name.Ident == "or") {
			continue
		}
		for _, arg := range command.Args {
			if chain, ok := arg.(*parse.ChainNode); ok {
				arg = chain.Node
			}
			if inner, ok := arg.(*parse.PipeNode); ok {
				out = append(out, certain(inner)...)
			}
		}
	}
	return out
}

// literalCall takes a request apart whose arguments are all literal strings.
func literalCall(command *parse.CommandNode) (function string, args []string, ok bool) {
	name, ok := command.Args[0].(*parse.IdentifierNode)
	if !ok || !isRequest(name.Ident) {
		return "", nil, false
	}
	for _, arg := range command.Args[1:] {
		literal, ok := arg.(*parse.StringNode)
		if !ok {
			return "", nil, false
		}
		args = append(args, literal.Text)
	}
	return name.Ident, args, true
}

// visit calls f with every loop, call of a template and leaf from node down.
func visit(node parse.Node, f func(parse.Node)) {
	branch := func(pipe *parse.PipeNode, lists ...*parse.ListNode) {
		if pipe != nil {
			visit(pipe, f)
		}
		for _, list := range lists {
			if list != nil {
				visit(list, f)
			}
		}
	}
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			visit(child, f)
		}
	case *parse.IfNode:
		branch(n.Pipe, n.List, n.ElseList)
	case *parse.RangeNode:
		f(n)
		branch(n.Pipe, n.List, n.ElseList)
	case *parse.WithNode:
		branch(n.Pipe, n.List, n.ElseList)
	case *parse.ActionNode:
		branch(n.Pipe)
	case *parse.TemplateNode:
		f(n)
		branch(n.Pipe)
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			for _, arg := range command.Args {
				visit(arg, f)
			}
		}
	case *parse.ChainNode:
		visit(n.Node, f)
	default:
		f(node)
	}
}

func lineOf(text string, node parse.Node) int {
	return 1 + strings.Count(text[:min(int(node.Position()), len(text))], "\n")
}

func (c Config) leftDelim() string {
	if c.LeftDelim == "" {
		return "{{"
	}
	return c.LeftDelim
}

func (c Config) rightDelim() string {
	if c.RightDelim == "" {
		return "}}"
	}
	return c.RightDelim
}
