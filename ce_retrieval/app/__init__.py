"""A page in the browser, for those who would rather look than type (`ceret app`). Gradio is imported where it is used."""
