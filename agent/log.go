package agent

import (
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/novatech/securevault/agent/config"
)

// defaultLogFile is the name of the log in a folder that log_file names.
const defaultLogFile = "agent.log"

// logOutput is where the agent's log goes, and how much of it.
type logOutput struct {
	file  *logFile // nil for stderr
	level zap.AtomicLevel
}

// follow takes over how much another configuration has logged. A level that is
// unknown changes nothing.
func (o logOutput) follow(file *config.File) {
	if level, err := logLevel(file); err == nil {
		o.level.SetLevel(level)
	}
}

func logLevel(file *config.File) (zapcore.Level, error) {
	level, err := zapcore.ParseLevel(strings.Replace(strings.ToLower(file.LogLevel), "trace", "debug", 1))
	if err != nil {
		return 0, fmt.Errorf("reading log_level: %q is unknown; use trace, debug, info, warn or error", file.LogLevel)
	}
	return level, nil
}

// newLog returns the log that a configuration describes, and where it goes.
func newLog(file *config.File, stderr io.Writer) (*zap.Logger, logOutput, error) {
	level, err := logLevel(file)
	if err != nil {
		return nil, logOutput{}, err
	}
	destination := logOutput{level: zap.NewAtomicLevelAt(level)}
	out := zapcore.AddSync(stderr)
	if path := file.LogFile; path != "" {
		if strings.HasSuffix(path, "/") {
			path += defaultLogFile
		}
		destination.file, err = openLogFile(path, rotation{
			size: int64(file.LogRotateBytes), age: time.Duration(file.LogRotateDuration), keep: file.LogRotateMaxFiles,
		})
		if err != nil {
			return nil, logOutput{}, err
		}
		out = zapcore.AddSync(destination.file)
	}
	layout := zap.NewProductionEncoderConfig()
	layout.EncodeTime = zapcore.ISO8601TimeEncoder
	layout.EncodeDuration = zapcore.StringDurationEncoder
	layout.TimeKey = "time"
	encoder := zapcore.NewJSONEncoder(layout)
	if !strings.EqualFold(file.LogFormat, "json") {
		layout.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(layout)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(out), destination.level), zap.ErrorOutput(zapcore.AddSync(stderr))), destination, nil
}
