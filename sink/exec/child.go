package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	// DefaultStopSignal asks the program to end.
	DefaultStopSignal = syscall.SIGTERM
	// DefaultKillTimeout is how long it may take for that.
	DefaultKillTimeout = 30 * time.Second
)

// Config describes the program and how it is supervised.
type Config struct {
	Args            []string         // program and arguments, run directly
	Line            string           // run by sh -c instead
	RestartOnChange bool             // restart when the environment changes; else the next start has it
	StopSignal      syscall.Signal   // 0 for DefaultStopSignal
	KillTimeout     time.Duration    // from the stop signal to SIGKILL; 0 for DefaultKillTimeout
	Stdout, Stderr  string           // path of a file to append to; the agent's own when empty
	Reserved        []syscall.Signal // that the agent uses itself, and does not forward
	Log             *zap.Logger
}

// Child is the supervised program. Its methods may be called from several
// goroutines.
type Child struct {
	cfg      Config
	requests chan request
	over     chan struct{} // closed when Run has returned

	mu      sync.Mutex
	process *process // that gets signals; nil before the first start and while stopping
	ended   bool
}

// request asks the loop of Run for a start or a restart.
type request struct {
	environment []string // nil to restart with the one there is
	done        chan<- answer
}

// answer says what became of a request.
type answer struct {
	inUse bool // the program runs with what it was asked to
	err   error
}

// ExitError says that the program ended by itself, and how. The agent is to
// end with the same code, zero included.
type ExitError struct {
	Code int // 0 to 255; 128 and the number of the signal for a program killed by one
}

// Error implements error.
func (e *ExitError) Error() string {
	return fmt.Sprintf("the program ended with exit code %d; its own output tells why", e.Code)
}

// New returns a child that starts nothing before [Child.Run].
func New(cfg Config) *Child {
	if cfg.StopSignal == 0 {
		cfg.StopSignal = DefaultStopSignal
	}
	if cfg.KillTimeout <= 0 {
		cfg.KillTimeout = DefaultKillTimeout
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Child{cfg: cfg, requests: make(chan request), over: make(chan struct{})}
}

// Check reports what would certainly keep the program from starting. It is
// meant to be asked before a secret is issued for it.
func (c *Child) Check() error {
	args, err := c.args()
	if err != nil {
		return err
	}
	if _, err := osexec.LookPath(args[0]); err != nil {
		return startFailed(args[0], err)
	}
	return nil
}

// args returns what is run.
func (c *Child) args() ([]string, error) {
	switch {
	case c.cfg.Line != "":
		return []string{"sh", "-c", c.cfg.Line}, nil
	case len(c.cfg.Args) > 0 && c.cfg.Args[0] != "":
		return c.cfg.Args, nil
	default:
		return nil, errors.New("starting the program: the command is empty; name a program")
	}
}

// Apply brings an environment, as NAME=value. The first starts the program. A
// later one that differs restarts it or, with RestartOnChange unset, waits for
// the next restart: then the program is still using what it was started with,
// and inUse is false. Apply returns when that is settled. The error wraps
// [syscall.ESRCH] if the program has ended.
func (c *Child) Apply(ctx context.Context, environment []string) (inUse bool, err error) {
	a := c.ask(ctx, append([]string{}, environment...))
	return a.inUse, a.err
}

// Restart replaces the program by a new one and returns when that runs. It
// returns nil, and starts nothing, before the first [Child.Apply]. The error
// wraps [syscall.ESRCH] if the program has ended.
func (c *Child) Restart(ctx context.Context) error { return c.ask(ctx, nil).err }

func (c *Child) ask(ctx context.Context, environment []string) answer {
	done := make(chan answer, 1)
	select {
	case c.requests <- request{environment, done}:
	case <-c.over:
		return answer{err: fmt.Errorf("restarting the program: %w; it has ended", syscall.ESRCH)}
	case <-ctx.Done():
		return answer{err: context.Cause(ctx)}
	}
	select {
	case a := <-done:
		return a
	case <-ctx.Done():
		return answer{err: context.Cause(ctx)}
	}
}

// Signal sends a signal to the program. It returns nil if the program has yet
// to start, or start again, because it will do so with all that is new. It
// wraps [syscall.ESRCH] if the program has ended.
func (c *Child) Signal(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return fmt.Errorf("signalling the program: %w; it has ended", syscall.ESRCH)
	case c.process == nil:
		return nil
	default:
		return c.process.signal(sig)
	}
}

// set says which process gets signals from now on.
func (c *Child) set(p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process = p
}

// Run supervises the program until it ends by itself, which returns an
// [ExitError], or cannot be started, or until ctx ends. In the last case Run
// stops the program first, and returns the cause of ctx if it ended with 0 or
// by the stop signal; else an ExitError with what it ended with. Run must not
// be called twice.
func (c *Child) Run(ctx context.Context) error {
	defer c.end()
	defer adoptOrphans()()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, c.forwarded()...)
	defer signal.Stop(signals)
	s := &supervision{Child: c}
	for {
		select {
		case <-ctx.Done():
			return s.shutDown(context.Cause(ctx))
		case r := <-c.requests:
			if err := s.take(ctx, r); err != nil {
				return err
			}
		case <-s.exited():
			return s.exit()
		case sig := <-signals:
			_ = s.Signal(sig.(syscall.Signal)) // a program that has ended needs no signal
		}
	}
}

// end tells all who ask from now on that there is no program.
func (c *Child) end() {
	c.mu.Lock()
	c.ended, c.process = true, nil
	c.mu.Unlock()
	close(c.over)
}

// supervision is the state of one Run.
type supervision struct {
	*Child
	running     *process // nil before the first start
	environment []string // for the next start
}

// take starts or restarts the program, or keeps the environment for the next
// start. An error ends the supervision.
func (s *supervision) take(ctx context.Context, r request) error {
	if r.environment != nil {
		s.environment = r.environment
	}
	var err error
	switch {
	case s.running == nil && r.environment == nil:
		r.done <- answer{}
		return nil
	case s.running == nil:
		err = s.start()
	case r.environment == nil, s.cfg.RestartOnChange && !s.running.has(r.environment):
		err = s.restart(ctx)
	default:
		r.done <- answer{inUse: s.running.has(r.environment)}
		return nil
	}
	r.done <- answer{err == nil, err}
	return err
}

// start starts the program and lets signals reach it.
func (s *supervision) start() error {
	p, err := s.launch(s.environment)
	if err != nil {
		return err
	}
	s.running = p
	s.set(p)
	s.cfg.Log.Info("the program runs", zap.Int("pid", p.cmd.Process.Pid))
	return nil
}

// restart replaces the program, unless ctx ends meanwhile.
func (s *supervision) restart(ctx context.Context) error {
	s.stop()
	if ctx.Err() != nil {
		return s.verdict(context.Cause(ctx))
	}
	return s.start()
}

// stop ends the program and what is left of its group.
func (s *supervision) stop() {
	s.set(nil)
	if err := s.running.stop(s.cfg.StopSignal, s.cfg.KillTimeout); err != nil {
		s.cfg.Log.Warn("the program was killed", zap.Error(err))
	}
	s.cfg.Log.Info("the program was stopped", zap.Int("code", s.running.code()))
}

// shutDown stops the program, if there is one, because of cause.
func (s *supervision) shutDown(cause error) error {
	if s.running == nil {
		return cause
	}
	s.stop()
	return s.verdict(cause)
}

// verdict returns what to say of a program that was stopped because of cause.
func (s *supervision) verdict(cause error) error {
	if code := s.running.code(); code != 0 && code != signalled(s.cfg.StopSignal) {
		return &ExitError{code}
	}
	return cause
}

// exited is closed when the program has ended by itself.
func (s *supervision) exited() <-chan struct{} {
	if s.running == nil {
		return nil
	}
	return s.running.done
}

// exit passes on how the program ended.
func (s *supervision) exit() error {
	s.set(nil)
	s.running.clear()
	err := &ExitError{s.running.code()}
	s.cfg.Log.Info("the program ended", zap.Int("code", err.Code))
	return err
}
