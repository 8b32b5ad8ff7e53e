-- What a model was asked and answered, beside the artifact that came of it.

ALTER TABLE artifact_generated ADD COLUMN IF NOT EXISTS task_uri Nullable(String) COMMENT 'What a model was asked and answered, where one made it' AFTER frames_uri;
