package agent

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/watch"
	"github.com/novatech/securevault/sink"
)

// Reload puts a new configuration in the place of the running one, as soon as
// the agent gets to it. What is wanted before and after keeps its lease, and
// a file whose content does not change is not touched. A configuration that
// cannot be used changes nothing. It does not block; of several
// configurations that wait, the last one counts.
func (a *Agent) Reload(file *config.File) {
	select {
	case <-a.reloads:
	default:
	}
	a.reloads <- file
}

// successor is a configuration on its way to being in force.
type successor struct {
	file    *config.File
	station *station // nil to stay with the one in use
	tokens  *tokens
	builder builder
	outputs []*output
}

const notReloaded = "the new configuration cannot be used; the old one stays in force"

// reconfigure puts a new configuration in force: at once, or when its login
// has succeeded if it has another server or another way to log in.
func (a *Agent) reconfigure(ctx context.Context, file *config.File) {
	a.untold(a.service.Reloading())
	a.forgo()
	if now := a.file; !config.Same(now.State, file.State) || now.LogFile != file.LogFile || now.LogFormat != file.LogFormat {
		a.log.Warn("changes of state, log_file and log_format wait for the next start")
	}
	next, err := a.succession(file)
	switch {
	case err != nil:
		a.refuse(err)
	case next.station == nil:
		a.succeed(ctx, next)
	default:
		a.next = next
		a.logIn(ctx, next.station)
		a.log.Info("logging in by the new configuration; the old one stays in force until that has succeeded")
		a.untold(a.service.Ready("logging in by the new configuration"))
	}
}

// refuse says that a configuration cannot be used.
func (a *Agent) refuse(err error) {
	a.log.Error(notReloaded, zap.Error(err))
	a.untold(a.service.Ready("the old configuration is in force"))
}

// forgo gives up the configuration that waits for its token.
func (a *Agent) forgo() {
	if a.next != nil {
		a.abandonStation(a.next.station)
		a.next = nil
	}
}

// succession composes what a configuration needs, and finds what would keep it
// from working. Nothing of it is in use yet.
func (a *Agent) succession(file *config.File) (*successor, error) {
	s := &successor{file: file, builder: a.builder(file)}
	clients := a.clients
	var err error
	if !sameStation(a.file, file) {
		if s.station, err = a.nextStation(file); err != nil {
			return nil, err
		}
		clients = s.station.clients
	}
	if s.tokens, err = newTokens(file, clients.auth, a.opts); err != nil {
		return nil, err
	}
	if s.outputs, err = s.builder.outputs(); err != nil {
		return nil, err
	}
	if err := checkDestinations(s.tokens.files(), s.outputs); err != nil {
		return nil, err
	}
	return s, checkApp(file, s.builder.child, s.builder.credentials)
}

// nextStation returns the station for a configuration. It goes on with the
// token in use if the login is the same.
func (a *Agent) nextStation(file *config.File) (*station, error) {
	if file.AutoAuth != nil && file.AutoAuth.Method.ExitOnErr {
		own := *file.AutoAuth
		own.Method.ExitOnErr = false // there is a configuration that works
		patient := *file
		patient.AutoAuth, file = &own, &patient
	}
	if origin(file, clientConfig(file, a.opts)) == a.origin && sameLogin(a.file, file) {
		return newStation(file, a.opts, a.keeper.Held(), 0)
	}
	return newStation(file, a.opts, nil, a.keeper.Token().Epoch+epochGap)
}

// epochGap leaves room for logins of the old station while the new one waits
// for its own.
const epochGap = 1000

// sameStation reports whether two configurations can do with one station.
func sameStation(now, file *config.File) bool {
	return config.Same(now.Vault, file.Vault) && sameLogin(now, file) &&
		now.TemplateConfig.MaxConnectionsPerHost == file.TemplateConfig.MaxConnectionsPerHost &&
		slices.Equal(now.DisableIdleConnections, file.DisableIdleConnections) &&
		slices.Equal(now.DisableKeepAlives, file.DisableKeepAlives)
}

// sameLogin reports whether two configurations log in the same way.
func sameLogin(now, file *config.File) bool {
	if now.AutoAuth == nil || file.AutoAuth == nil {
		return now.AutoAuth == file.AutoAuth
	}
	return config.Same(now.AutoAuth.Method, file.AutoAuth.Method) && now.AutoAuth.Reauth == file.AutoAuth.Reauth
}

// nextChanged fires when the login of the waiting configuration has news, but
// not while new content is being checked for what it may replace.
func (a *Agent) nextChanged() <-chan struct{} {
	if a.next == nil || a.checking > 0 {
		return nil
	}
	return a.next.station.keeper.Changed()
}

// advance puts the waiting configuration in force if it has its token.
func (a *Agent) advance(ctx context.Context) {
	if a.next.station.keeper.Token().Epoch == 0 {
		return
	}
	next := a.next
	a.next = nil
	a.succeed(ctx, next)
}

// succeed puts a configuration in force. What cannot be known to work before
// comes first: the listeners.
func (a *Agent) succeed(ctx context.Context, next *successor) {
	station := cmp.Or(next.station, a.station)
	if next.station != nil || !sameFront(a.file, next.file) {
		front, err := a.newFront(next.file, station)
		if err == nil {
			err = a.turn(ctx, front)
		}
		if err != nil {
			if next.station != nil {
				a.abandonStation(next.station)
			}
			a.refuse(err)
			return
		}
	}
	before := a.outputs
	if next.station != nil {
		if next.station.origin != a.origin {
			before = nil // what another server has issued is let go of
		}
		a.move(ctx, next.file, next.station)
	}
	if next.station != nil || !sameSinks(a.file, next.file) {
		a.endTokens()
		a.tokens = next.tokens
		a.endTokens = a.begin(ctx, a.tokens.Run)
		a.tokens.Set(a.keeper.Token())
	}
	follow(next.outputs, before)
	a.announcer.Forget() // by the hooks of before; see [output.owing]
	a.replaceApp(ctx, next)
	a.replacePIDFile(next.file.PIDFile)
	a.file, a.outputs, a.ready, a.unordered = next.file, next.outputs, false, true
	a.revokeOnExit, a.retries = next.file.RevokeOnExit, retries(next.file)
	if a.opts.State == nil && next.file.State != nil && !next.file.Has("revoke_on_exit") {
		a.revokeOnExit = true // nobody else will ever revoke what this run holds
	}
	sink.Sweep(time.Now(), a.files()...)
	a.opts.Reloaded(next.file)
	a.log.Info("configuration reloaded", zap.Int("templates", len(a.outputs)))
}

// sameFront reports whether two configurations have the agent answer alike.
func sameFront(now, file *config.File) bool {
	return config.Same(now.Listeners, file.Listeners) && config.Same(now.APIProxy, file.APIProxy) &&
		config.Same(now.Cache, file.Cache) && config.Same(now.Telemetry, file.Telemetry)
}

// sameSinks reports whether two configurations hand on the token alike.
func sameSinks(now, file *config.File) bool {
	if now.AutoAuth == nil || file.AutoAuth == nil {
		return now.AutoAuth == file.AutoAuth
	}
	return config.Same(now.AutoAuth.Sinks, file.AutoAuth.Sinks)
}

// replacePIDFile moves the file with the agent's process id.
func (a *Agent) replacePIDFile(path string) {
	if path == a.pidFile {
		return
	}
	a.removePIDFile()
	a.pidFile = path
	if err := a.writePIDFile(); err != nil {
		a.log.Error("writing the pid file failed", zap.Error(err))
	}
}

// follow has outputs take over what their places hold from those that wrote it
// so far: these secrets stay alive until the new ones are published.
func follow(outputs, before []*output) {
	writers := make(map[string]*output, len(before)) // path → who wrote it
	for _, old := range before {
		writers[old.place.Path()] = old
	}
	for _, o := range outputs {
		old := writers[o.place.Path()]
		if old == nil {
			continue
		}
		o.live, o.published, o.ahead = old.live, old.published, old.ahead
		o.generation, o.changed = old.generation, old.changed
		was, wasMemory := old.place.(*memory)
		if is, ok := o.place.(*memory); ok && wasMemory && is.to == was.to {
			is.held = was.held
		}
	}
}

// lookPeriod is between two looks at the files of the configuration.
const lookPeriod = 2 * time.Second

// reloadOnChange loads the configuration anew on each SIGHUP, after reopened,
// and when its files or those of its templates have changed, until ctx ends.
func (a *Agent) reloadOnChange(ctx context.Context, load func() (*config.File, error), reopen func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	ticker := time.NewTicker(lookPeriod)
	defer ticker.Stop()
	files, changing := sources(a.file), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			reopen()
		case <-ticker.C:
			fresh := files.Fresh()
			files.Note()
			if changing, fresh = fresh, changing && !fresh; !fresh {
				continue // nothing new, or still being written
			}
		}
		file, err := load()
		if err != nil {
			a.log.Error(notReloaded, zap.Error(err))
			continue
		}
		files = sources(file)
		a.Reload(file)
	}
}

// sources watches the files that a configuration was read from, and those of
// its templates.
func sources(file *config.File) *watch.Files {
	paths := slices.Clone(file.Read)
	add := func(t config.Text) {
		if t.Source != "" {
			paths = append(paths, t.Source)
		}
	}
	for _, t := range file.Templates {
		add(t.Text)
	}
	for _, g := range file.Groups {
		for _, t := range g.Templates {
			add(t.Text)
		}
	}
	for _, e := range file.EnvFiles {
		for _, v := range e.Variables {
			add(v.Text)
		}
	}
	for _, v := range file.EnvTemplates {
		add(v.Text)
	}
	if c := file.Credentials; c != nil {
		for _, one := range c.Credentials {
			add(one.Text)
		}
	}
	files := watch.New(paths...)
	files.Note()
	return files
}
