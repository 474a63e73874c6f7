from bundlepipe import Pipeline

pipeline = Pipeline.load("bundlepipe.yml")
