from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline.load("bundlepipe.yml")
